"""The web page: static files from the package, under a policy that lets no request leave the machine."""

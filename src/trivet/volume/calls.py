"""The calls of the volume protocol: what a client in another process may ask of the keeper, as data."""

import msgspec

from trivet.errors import ProtocolError
from trivet.volume import body_calls as body
from trivet.volume import name_calls as name

AnyCall = (
    name.Lookup
    | name.GetAttr
    | name.SetAttr
    | name.ReadLink
    | name.OpenDir
    | name.Listing
    | name.MkDir
    | name.MkNod
    | name.SymLink
    | name.Link
    | name.Unlink
    | name.RmDir
    | name.Rename
    | name.FSyncDir
    | name.GetXattr
    | name.SetXattr
    | name.ListXattr
    | name.RemoveXattr
    | name.StatFs
    | name.NamesOf
    | name.Version
    | name.Describe
    | name.DescribedListing
    | name.TakeUses
    | name.NewestSlot
    | name.Changes
    | name.WaitChanged
    | body.Create
    | body.Open
    | body.Read
    | body.PlanRead
    | body.Write
    | body.TakeNames
    | body.PutBlobs
    | body.BlobsStored
    | body.BadCopies
    | body.Flush
    | body.FSync
    | body.Release
    | body.OpenSnapshot
    | body.Publish
)
_decoder: msgspec.msgpack.Decoder[AnyCall] = msgspec.msgpack.Decoder(AnyCall)


def decode_call(data: bytes) -> AnyCall:
    """Return the call in `data`, or raise ProtocolError."""
    try:
        return _decoder.decode(data)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"a call can't be read: {error}") from error

// All that is asked of the server: files through the Drive v3 face, the rest through the native one.

const FIELDS = "id,name,mimeType,size,modifiedTime,parents,headRevisionId,trashed";
export const FOLDER = "application/vnd.google-apps.folder";

/** What the server refused; `status` is the HTTP status, `facts` the JSON it sent. */
export class Refused extends Error {
  constructor(status, facts, fallback) {
    super(facts?.error?.message ?? facts?.detail ?? fallback);
    this.status = status;
    this.facts = facts;
  }
}

/** Ask and return the response; raises Refused, or TypeError when the server can't be reached. */
export async function ask(path, { method = "GET", json, headers = {}, ...more } = {}) {
  const body = json === undefined ? more.body : JSON.stringify(json);
  const sent = json === undefined ? headers : { "content-type": "application/json", ...headers };
  const response = await fetch(path, { ...more, method, body, headers: sent });
  if (response.ok || response.status === 308) return response;
  const facts = await response.json().catch(() => null);
  if (response.status === 401) document.dispatchEvent(new Event("logged-out"));
  throw new Refused(response.status, facts, `${response.status} ${response.statusText}`);
}

const told = async (path, options) => {
  const response = await ask(path, options);
  return response.status === 204 ? null : response.json();
};
const query = (values) => new URLSearchParams(values).toString();
const quoted = (text) => `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
const fileUrl = (id) => `/drive/v3/files/${encodeURIComponent(id)}`;

export const me = () => told("/api/v1/me");
export const login = (user, password) => told("/api/v1/login", { method: "POST", json: { user, password } });
export const logout = () => told("/api/v1/logout", { method: "POST" });
export const health = () => told("/api/v1/health");
export const processes = (back) => told(`/api/v1/processes?${query({ series_s: back })}`);
export const repairs = (since) => told(`/api/v1/repairs?${query({ since_s: since })}`);

export const vendors = async () => (await told("/api/v1/upstreams")).upstreams;
export const vendorTransfers = async () => (await told("/api/v1/upstreams/transfers")).transfers;
export const history = () => told("/api/v1/history");
/** Return how often each cache had what was asked for, null where the drive does not tell. */
export const cacheRates = () => told("/api/v1/cache").catch(() => null);
/** Have what is at `path` fetched ahead ("warm"), or kept at its vendor only ("evict"). */
export const orderCache = (wanted, path) => told(`/api/v1/cache/${wanted}`, { method: "POST", json: { path } });
export const decideRemoval = (name, wanted) => told(`/api/v1/upstreams/${encodeURIComponent(name)}/removals`, {
  method: "POST", json: { do: wanted } });

/** Return one page of the files that `q` selects: {files, nextPageToken}. */
export const search = (q, pageToken, orderBy = "folder,name_natural") => told(`/drive/v3/files?${query({
  q, orderBy, pageSize: 200, fields: `files(${FIELDS}),nextPageToken`, ...(pageToken ? { pageToken } : {}),
})}`);
/** Return one page of the folder `id`, as `search` does; a file's `fault` says what its check found. */
export async function inFolder(id, token) {
  const page = await told(`/api/v1/folders/${encodeURIComponent(id)}/children?${query({
    order: "folder,name_natural", page_size: 200, ...(token ? { page_token: token } : {}) })}`);
  return { nextPageToken: page.next_page_token, files: page.files.map((one) => ({
    id: one.id, name: one.name, mimeType: one.mime_type, size: one.size, modifiedTime: one.modified_at,
    parents: [one.parent], headRevisionId: one.revision, trashed: Boolean(one.trashed), fault: one.fault })) };
}
export const inTrash = (token) => search("trashed = true", token, "modifiedTime desc");
export const file = (id) => told(`${fileUrl(id)}?${query({ fields: FIELDS })}`);
export const checksum = async (id) => (await told(`${fileUrl(id)}?fields=md5Checksum`)).md5Checksum;

/** Return the file called `name` in the folder `parent`, undefined if there is none. */
export async function named(parent, name) {
  const q = `${quoted(parent)} in parents and name = ${quoted(name)} and trashed = false`;
  return (await search(q)).files.find((one) => one.name === name);
}

/** Return the folders inside the folder `id`, up to a page of them. */
export const folders = async (id) =>
  (await search(`${quoted(id)} in parents and trashed = false and mimeType = '${FOLDER}'`)).files;

/** Return what the check of a file's content found wrong with it, undefined if nothing. */
export const fault = async (id) => (await told(`/api/v1/files/${encodeURIComponent(id)}`)).fault;

export const makeFolder = (parent, name) => told(`/drive/v3/files?${query({ fields: FIELDS })}`, {
  method: "POST", json: { name, mimeType: FOLDER, parents: [parent] } });
export const change = (id, json) => told(`${fileUrl(id)}?${query({ fields: FIELDS })}`, { method: "PATCH", json });
export const move = (one, to) => told(`${fileUrl(one.id)}?${query({
  addParents: to, removeParents: one.parents.join(","), fields: FIELDS })}`, { method: "PATCH", json: {} });
export const remove = (id) => told(fileUrl(id), { method: "DELETE" });
export const emptyTrash = () => told("/drive/v3/files/trash", { method: "DELETE" });

export const contentUrl = (id) => `${fileUrl(id)}?alt=media`;
export const versionUrl = (id, version) => `${fileUrl(id)}/revisions/${encodeURIComponent(version)}?alt=media`;
export const versions = async (id) => (await told(
  `${fileUrl(id)}/revisions?${query({ fields: "revisions(id,modifiedTime,size,keepForever)", pageSize: 200 })}`,
)).revisions;
export const transfers = async () => (await told("/api/v1/transfers?limit=50")).transfers;
export const cancelTransfer = (key) => told(`/api/v1/transfers/${encodeURIComponent(key)}`, { method: "DELETE" });
export const resumeTransfer = (key) => told(`/api/v1/transfers/${encodeURIComponent(key)}/resume`, { method: "POST" });
export const restoreVersion = (id, version) => told(
  `/api/v1/files/${encodeURIComponent(id)}/revisions/${encodeURIComponent(version)}/restore`, { method: "POST" });

/** Return the first `bytes` of a file as text. */
export async function beginning(id, bytes) {
  const response = await ask(contentUrl(id), { cache: "no-store", headers: { range: `bytes=0-${bytes - 1}` } });
  return response.text();
}

/** Return why the drive does not send the file `id` (now), null if it does. */
export async function refusal(id) {
  try {
    const answer = await ask(`/api/v1/files/${encodeURIComponent(id)}/content`, { headers: { range: "bytes=0-0" } });
    return answer.status === 202 ? new Refused(202, await answer.json(), "It waits in the queue.") : null;
  } catch (error) {
    return error.status === 416 ? null : error; // an empty file has no first byte
  }
}

const socketAt = (path) => {
  const url = new URL(path, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  return new WebSocket(url);
};

/** Return a WebSocket that tells what happens in the drive, from the sequence number `after` on if given. */
export const eventSocket = (after) => socketAt(`/api/v1/events${after === null ? "" : `?after=${after}`}`);

/** Return a WebSocket that sends a frame of the board for each word it is sent, and one before. */
export const boardSocket = () => socketAt("/api/v1/board");

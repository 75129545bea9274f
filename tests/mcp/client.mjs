// The TypeScript SDK against /mcp: lists the tools, writes, finds, reads and deletes a note. The SDK itself checks that
// results fit the schemas of their tools.
//
//     client.mjs URL TOKEN
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(`${process.env.MCP_MODULES}/`);
const load = async (name) => import(pathToFileURL(require.resolve(name)).href);
const { Client } = await load("@modelcontextprotocol/sdk/client/index.js");
const { StreamableHTTPClientTransport } = await load("@modelcontextprotocol/sdk/client/streamableHttp.js");

const [url, token] = process.argv.slice(2);
const client = new Client({ name: "holdfast-test", version: "1" });
await client.connect(
    new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers: { Authorization: `Bearer ${token}` } } }),
);
const { tools } = await client.listTools();
const use = async (name, args = {}) => {
    const result = await client.callTool({ name, arguments: args });
    assert.ok(!result.isError, JSON.stringify(result));
    return result.structuredContent;
};
const note = await use("memo_create_memo", { body: { content: "from the TypeScript SDK #tsdk", visibility: "PRIVATE" } });
const found = await use("memo_list_memos", { filter: '"tsdk" in tags', pageSize: 5 });
assert.deepEqual(found.memos.map((memo) => memo.name), [note.name]);
assert.equal((await use("memo_get_memo", { memo: note.name })).content, note.content);
const changed = await use("memo_update_memo", { memo: note.name, body: { content: "changed #tsdk" } });
assert.equal(changed.content, "changed #tsdk");
const file = await use("attachment_create_attachment", {
    body: { filename: "a.txt", type: "text/plain", content: "aGk=" },
});
assert.equal(file.size, "2");
await use("attachment_delete_attachment", { attachment: file.name });
await use("memo_delete_memo", { memo: note.name });
const gone = await client.callTool({ name: "memo_get_memo", arguments: { memo: note.name } });
assert.ok(gone.isError);
await client.close();
console.log(`${tools.length} tools, written, found, read, changed, deleted`);

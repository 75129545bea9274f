// The journey by connect-es, over Connect in JSON and in protobuf and over gRPC-Web. The messages come from the
// descriptors that the gRPC client has read by reflection.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";

import { createFileRegistry, fromBinary, toJson } from "@bufbuild/protobuf";
import { FieldMaskSchema, FileDescriptorSetSchema } from "@bufbuild/protobuf/wkt";
import { Code, ConnectError, createClient } from "@connectrpc/connect";
import { createConnectTransport, createGrpcWebTransport } from "@connectrpc/connect-web";

const told = JSON.parse(process.argv[2]);
const registry = createFileRegistry(fromBinary(FileDescriptorSetSchema, await readFile(told.descriptors)));
const service = (name) => registry.getService(`memos.api.v1.${name}`);
const PRIVATE = 1;

async function refusal(call) {
  try {
    await call();
  } catch (error) {
    return ConnectError.from(error);
  }
  assert.fail("it was not refused");
}

async function journey(make, label) {
  let token = "";
  const signed = (next) => async (request) => {
    if (token) request.header.set("Authorization", `Bearer ${token}`);
    return next(request);
  };
  const transport = make({ baseUrl: told.url, interceptors: [signed] });
  const [auth, files, memos] = ["AuthService", "AttachmentService", "MemoService"].map((name) =>
    createClient(service(name), transport),
  );
  const rest = (path) => fetch(told.url + path, { headers: { Authorization: `Bearer ${token}` } });
  const shown = (name, message) =>
    toJson(registry.getMessage(`memos.api.v1.${name}`), message, { registry, alwaysEmitImplicit: true });

  const { username, password } = told;
  const credentials = { case: "passwordCredentials", value: { username, password } };
  token = (await auth.signIn({ credentials })).accessToken;

  const content = new Uint8Array(randomBytes(200_000));
  const stored = await files.createAttachment({
    attachment: { filename: "random.bin", type: "application/octet-stream", content },
  });
  assert.equal(stored.size, BigInt(content.length));
  const tag = label.replaceAll(/[^a-z]/gi, "-");
  const write = (text, attachments = []) =>
    memos.createMemo({ memo: { content: `${text} #${tag}`, visibility: PRIVATE, attachments } });
  const made = [await write("one"), await write("two"), await write("three")];
  let memo = await write("with a file", [{ name: stored.name }]);

  const wanted = { pageSize: 2, filter: `tag in ["${tag}"] && creator == "users/ada"` };
  const first = await memos.listMemos(wanted);
  const second = await memos.listMemos({ ...wanted, pageToken: first.nextPageToken });
  const names = [...first.memos, ...second.memos].map((found) => found.name);
  assert.deepEqual(new Set(names), new Set([memo, ...made].map((one) => one.name)));

  memo = await memos.updateMemo({
    memo: { name: memo.name, content: `changed #${tag}`, pinned: true },
    updateMask: { $typeName: FieldMaskSchema.typeName, paths: ["content"] },
  });
  assert.equal(memo.content, `changed #${tag}`);
  assert.equal(memo.pinned, false);
  await memos.createMemoComment({ name: memo.name, comment: { content: "a comment" } });
  await memos.upsertMemoReaction({ name: memo.name, reaction: { contentId: memo.name, reactionType: "👍" } });
  const share = await memos.createMemoShare({ parent: memo.name, memoShare: {} });
  const shared = await memos.getSharedMemo({ shareToken: share.name.split("/").at(-1) });
  assert.equal(shared.content, memo.content);
  const downloaded = new Uint8Array(await (await rest(`/file/${stored.name}/random.bin`)).arrayBuffer());
  assert.deepEqual(downloaded, content);

  const same = await (await rest(`/api/v1/${memo.name}`)).json();
  assert.deepEqual(shown("Memo", await memos.getMemo({ name: memo.name })), same);

  const invalid = await refusal(() => memos.listMemos({ filter: "nope(" }));
  assert.equal(invalid.code, Code.InvalidArgument);
  assert.match(invalid.rawMessage, /filter/);
  for (const one of [memo, ...made]) await memos.deleteMemo({ name: one.name });
  const missing = await refusal(() => memos.getMemo({ name: memo.name }));
  assert.equal(missing.code, Code.NotFound);
  assert.match(missing.rawMessage, /not found/);
  console.log(`  ${told.door}: ${label}`);
}

await journey(createConnectTransport, "Connect JSON");
await journey((options) => createConnectTransport({ ...options, useBinaryFormat: true }), "Connect binary");
await journey(createGrpcWebTransport, "gRPC-Web");

// A real OpenID provider on loopback for the tests of sign-in.
//
//   OIDC_MODULES=FOLDER node provider.mjs PORT OUR_ROOT...
//
// FOLDER: in which `npm ci` put node_modules. OUR_ROOT: an address of ours, such as http://127.0.0.1:5230/t/alpha; the client
// "holdfast" with the secret "holdfast-secret" may come back to OUR_ROOT/auth/callback. Prints "ready" once it answers; port 0
// takes a free one, which the line names. Nobody is asked anything: whoever /__set?j={"user":"bob"} names signs in, else alice.

import { generateKeyPairSync } from "node:crypto";
import http from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [port, ...roots] = process.argv.slice(2);
const require = createRequire(join(process.env.OIDC_MODULES, "package.json"));
const { Provider } = await import(pathToFileURL(require.resolve("oidc-provider")).href);

const people = { alice: ["eng", "admins"], bob: ["sales"], carol: [] };
const said = { user: "alice", groups: null, email_verified: true, name: null, email: null, hide: [], rotate: false };
const rows = new Map();

// One memory for every provider built: keys change by building another, and sessions must stay.
class Memory {
  constructor(kind) {
    this.kind = kind;
  }
  at(id) {
    return `${this.kind}:${id}`;
  }
  async upsert(id, payload, seconds) {
    rows.set(this.at(id), { ...payload, until: Date.now() + seconds * 1000 });
    if (payload.uid) rows.set(this.at(`uid-${payload.uid}`), { id });
  }
  async find(id) {
    const row = rows.get(this.at(id));
    return row && row.until > Date.now() ? row : undefined;
  }
  async findByUid(uid) {
    const row = rows.get(this.at(`uid-${uid}`));
    return row && this.find(row.id);
  }
  async findByUserCode() {}
  async consume(id) {
    const row = rows.get(this.at(id));
    if (row) row.consumed = Math.floor(Date.now() / 1000);
  }
  async destroy(id) {
    rows.delete(this.at(id));
  }
  async revokeByGrantId(grant) {
    for (const [key, row] of rows) if (row.grantId === grant) rows.delete(key);
  }
}

const key = (kid) => {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { ...privateKey.export({ format: "jwk" }), kid, use: "sig", alg: "RS256" };
};
let count = 1;
let keys = [key("key-1")];
let provider;
let answer;
let issuer;

const claimsOf = (id) => {
  const all = {
    sub: id,
    name: said.name ?? id,
    preferred_username: said.name ?? id,
    email: said.email ?? `${id}@example.org`,
    email_verified: said.email_verified,
    groups: said.groups ?? people[id],
  };
  for (const name of said.hide) delete all[name];
  return all;
};

const build = () => {
  provider = new Provider(issuer, {
    adapter: Memory,
    clients: [
      {
        client_id: "holdfast",
        client_secret: "holdfast-secret",
        redirect_uris: roots.map((root) => `${root}/auth/callback`),
        post_logout_redirect_uris: roots.map((root) => `${root}/signin`),
        response_types: ["code"],
        grant_types: ["authorization_code"],
        ...(roots.length ? { backchannel_logout_uri: `${roots[0]}/auth/logout/corp` } : {}),
        backchannel_logout_session_required: true,
      },
    ],
    jwks: { keys },
    // Its own guard refuses loopback; these tests are nowhere else.
    fetch: (url, { dispatcher, ...options }) => fetch(url, options),
    cookies: { keys: ["a secret of the tests and of nobody else"] },
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name", "preferred_username", "groups"] },
    conformIdTokenClaims: false,
    findAccount: (_, id) => people[id] && { accountId: id, claims: () => claimsOf(id) },
    features: { devInteractions: { enabled: false }, backchannelLogout: { enabled: true }, rpInitiatedLogout: { enabled: true } },
    pkce: { required: () => true },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
  });
  provider.on("server_error", (_, error) => console.error(error));
  answer = provider.callback();
};

const interact = async (request, response) => {
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
  if (prompt.name === "login") {
    const login = { accountId: params.login_hint || said.user };
    return provider.interactionFinished(request, response, { login }, { mergeWithLastSubmission: false });
  }
  const grant = grantId
    ? await provider.Grant.find(grantId)
    : new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
  const { missingOIDCScope, missingOIDCClaims } = prompt.details;
  if (missingOIDCScope) grant.addOIDCScope(missingOIDCScope.join(" "));
  if (missingOIDCClaims) grant.addOIDCClaims(missingOIDCClaims);
  const consent = { grantId: await grant.save() };
  return provider.interactionFinished(request, response, { consent }, { mergeWithLastSubmission: true });
};

const server = http.createServer(async (request, response) => {
  const url = new URL(request.url, issuer);
  try {
    if (url.pathname === "/__rotate") {
      keys = [key(`key-${++count}`)];
      build();
      return response.end("rotated\n");
    }
    if (url.pathname === "/__set") {
      Object.assign(said, JSON.parse(url.searchParams.get("j")));
      return response.end("set\n");
    }
    // The keys change after the browser was sent back, and before its code becomes a token.
    if (url.pathname === "/token" && said.rotate) {
      said.rotate = false;
      keys = [key(`key-${++count}`)];
      build();
    }
    if (url.pathname.startsWith("/interaction/")) return await interact(request, response);
    return answer(request, response);
  } catch (error) {
    response.statusCode = 500;
    return response.end(String(error));
  }
});
server.listen(Number(port), "127.0.0.1", () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  build();
  console.log(`ready ${issuer}`);
});

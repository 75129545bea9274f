// Signing in with what teams have, in a real browser and with a real OpenID provider: members, their second factor, the
// owners' settings, and operators.

import { createHmac } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

import { signIn } from "./keyboard.mjs";
import { startProvider } from "./provider.mjs";
import { axe, overflow, watch } from "./watch.mjs";

const WIDTHS = [390, 1280];
const SCHEMES = ["light", "dark"];
const PASSWORD = "Browser-Test-1!";

const settings = (issuer) => `kind = "oidc"
id = "corp"
title = "Corp"
issuer = "${issuer}"
client_id = "holdfast"
client_secret = "holdfast-secret"
[[roles]]
group = "admins"
role = "admin"
[[roles]]
group = "sales"
role = "guest"
`;

// The code that an authenticator app shows (RFC 6238).
function totp(secret, seconds) {
  const bits = [...secret].map((letter) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(letter).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor(seconds / 30)));
  const digest = createHmac("sha1", key).update(step).digest();
  const from = digest[19] & 15;
  return String((digest.readUInt32BE(from) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

class World {
  constructor({ browser, url, test, demo, source }) {
    Object.assign(this, { browser, url, test, demo, source });
  }

  // A page of its own, with what goes wrong on it.
  async page(name) {
    const context = await this.browser.newContext({ viewport: { width: 1280, height: 900 } });
    const page = await context.newPage();
    return { page, context, watched: await watch(page), name };
  }

  // The page as it stands, narrow and wide, light and dark; SHOTS=folder keeps pictures.
  async look({ page, watched }, name) {
    const problems = [];
    for (const width of WIDTHS) {
      for (const colorScheme of SCHEMES) {
        await page.setViewportSize({ width, height: 900 });
        await page.emulateMedia({ colorScheme });
        const found = [...(await overflow(page)), ...(await axe(page, this.source))];
        problems.push(...found.map((one) => `${name}, ${width} px, ${colorScheme}: ${one}`));
        if (process.env.SHOTS) {
          const path = join(process.env.SHOTS, `${name.replaceAll(" ", "-")}-${width}-${colorScheme}.png`);
          await page.screenshot({ path, fullPage: true });
        }
      }
    }
    await page.setViewportSize({ width: 1280, height: 900 });
    await page.emulateMedia({ colorScheme: "light" });
    return [...problems, ...watched.take()];
  }
}

async function go(page, act) {
  await Promise.all([page.waitForNavigation({ waitUntil: "load" }), act()]);
}

const text = (page) => page.innerText("main");

async function demand(page, wanted) {
  const shown = await text(page);
  if (!shown.includes(wanted)) throw new Error(`${page.url()} does not show "${wanted}" but: ${shown.slice(0, 400)}`);
}

async function through(page, url, next = "/account") {
  await page.goto(`${url}/signin?next=${encodeURIComponent(next)}`);
  await go(page, () => page.click("text=Sign in by Corp"));
}

// Members by their provider: Show 1.
async function byProvider(world) {
  const { url, test, demo } = world;
  const issuer = `http://127.0.0.1:${demo.providerPort}`;
  const file = join(demo.folder, "corp.toml");
  writeFileSync(file, settings(issuer));
  world.demo.command("identity", "set", "--tenant", "default", "--file", file);
  await test("a provider that is away leaves the password", async () => {
    const tab = await world.page();
    await tab.page.goto(`${url}/signin?next=/account`);
    const problems = await world.look(tab, "sign-in with a provider");
    await go(tab.page, () => tab.page.click("text=Sign in by Corp"));
    await demand(tab.page, "Corp does not answer at present; try again, or sign in another way.");
    problems.push(...(await world.look(tab, "sign-in provider away")));
    await tab.page.fill("#username", demo.owner);
    await tab.page.fill("#password", demo.password);
    await go(tab.page, () => tab.page.click("main button.primary"));
    await demand(tab.page, `You sign in as ${demo.owner}`);
    await tab.context.close();
    return problems;
  });
  const provider = await startProvider(demo.providerPort, [url, `${url}/console`]);
  const tab = await world.page();
  await test("it is back without a restart of ours; the first sign-in makes the member with the mapped role", async () => {
    await through(tab.page, url);
    await demand(tab.page, "You sign in as alice");
    await demand(tab.page, "How members of this workspace sign in"); // of admins only
    return world.look(tab, "account by provider");
  });
  await test("another group there, another role at the next sign-in", async () => {
    await provider.set({ groups: ["sales"] });
    const other = await world.page();
    await through(other.page, url);
    await demand(other.page, "You sign in as alice");
    if ((await text(other.page)).includes("How members of this workspace sign in")) throw new Error("she is an admin still");
    await other.context.close();
    await provider.set({ groups: ["admins"] });
    return [];
  });
  await test("keys that change between start and callback", async () => {
    const other = await world.page();
    await provider.set({ rotate: true });
    await through(other.page, url);
    await demand(other.page, "You sign in as alice");
    const problems = other.watched.take();
    await other.context.close();
    return problems;
  });
  await test("signing out there ends the session here at once", async () => {
    await tab.page.goto(`${url}/account`);
    await demand(tab.page, "You sign in as alice");
    tab.watched.take();
    const there = await tab.context.newPage();
    await there.goto(`${issuer}/session/end`);
    await go(there, () => there.click("button[value=yes]"));
    await there.close();
    await tab.page.goto(`${url}/account`);
    if (!tab.page.url().startsWith(`${url}/signin`)) throw new Error(`still at ${tab.page.url()}`);
    return tab.watched.take();
  });
  await test("signing out here leads to signing out there", async () => {
    await through(tab.page, url);
    await go(tab.page, () => tab.page.click("header button:has-text('Sign out')"));
    await tab.page.waitForURL(`${issuer}/**`, { timeout: 10_000 });
    await tab.context.close();
    return [];
  });
  return provider;
}

// Owners set a provider and test it.
async function settingsPages(world) {
  const { url, test, demo } = world;
  const tab = await world.page();
  const { page } = tab;
  await signIn(page, `${url}/signin?next=/settings/signin`, demo.owner, demo.password);
  await test("how members sign in: the list and the form", () => world.look(tab, "providers"));
  await test("a new directory: its form", async () => {
    await go(page, () => page.click("text=Directory (LDAP)"));
    return world.look(tab, "providers new directory");
  });
  await test("settings that cannot work are refused in words", async () => {
    await page.fill("#title", "Staff");
    await page.fill("#settings", 'servers = ["ldap://ldap.example.org"]\nuser_base = "ou=people"');
    await go(page, () => page.click("text=Add the provider"));
    await demand(page, "would carry passwords in the clear");
    return world.look(tab, "providers refused");
  });
  await test("a provider's page and its test, rung by rung", async () => {
    await page.goto(`${url}/settings/signin/corp`);
    const problems = await world.look(tab, "provider");
    await page.fill("#user", "alice");
    await go(page, () => page.click("main button:has-text('Test')"));
    await demand(page, "Every rung holds.");
    await demand(page, "group admins gives admin");
    return [...problems, ...(await world.look(tab, "provider tested"))];
  });
  await tab.context.close();
}

// A member's own security: sign-ins, second factor, recovery codes.
async function security(world) {
  const { url, test, demo } = world;
  const file = join(demo.folder, "member-password");
  writeFileSync(file, PASSWORD);
  world.demo.command("user", "create", "sam", "--tenant", "default", "--role", "member", "--password-file", file);
  const elsewhere = await world.page();
  await signIn(elsewhere.page, `${url}/signin?next=/account`, "sam", PASSWORD);
  const tab = await world.page();
  const { page } = tab;
  await signIn(page, `${url}/signin?next=/account`, "sam", PASSWORD);
  await test("sign-ins are listed and ended", async () => {
    const problems = await world.look(tab, "account sign-ins");
    page.once("dialog", (dialog) => dialog.accept());
    await go(page, () => page.click("text=End all others"));
    await demand(page, "All your other sign-ins are ended.");
    await elsewhere.page.goto(`${url}/account`);
    if (!elsewhere.page.url().startsWith(`${url}/signin`)) problems.push(`the other one is still at ${elsewhere.page.url()}`);
    return problems;
  });
  let secret;
  let codes;
  await test("a second factor is set up with a picture", async () => {
    await page.fill("#factor-password", PASSWORD);
    await go(page, () => page.click("text=Set it up"));
    const box = await (await page.$("svg.qr")).boundingBox();
    const problems = box.width >= 180 ? [] : [`the picture is ${box.width} px wide`];
    problems.push(...(await world.look(tab, "second factor set-up")));
    await page.click("summary");
    secret = (await page.innerText("code.secret")).replaceAll(/[^A-Z2-7]/g, "");
    problems.push(...(await world.look(tab, "second factor by hand")));
    await page.fill("#code", "000000");
    await go(page, () => page.click("text=Switch it on"));
    await demand(page, "That code does not fit");
    problems.push(...(await world.look(tab, "second factor wrong")));
    await page.fill("#code", totp(secret, Date.now() / 1000 - 30)); // the present one is left for the sign-in
    await go(page, () => page.click("text=Switch it on"));
    await demand(page, "The second factor is on");
    codes = (await page.innerText("ul.secret")).split("\n").map((line) => line.trim()).filter(Boolean);
    if (codes.length !== 10) problems.push(`${codes.length} recovery codes`);
    return [...problems, ...(await world.look(tab, "recovery codes"))];
  });
  await test("it is asked for, taken once, and a recovery code opens, too", async () => {
    const problems = [];
    const enter = async (code, wanted) => {
      const fresh = await world.page();
      await signIn(fresh.page, `${url}/signin?next=/account`, "sam", PASSWORD);
      await demand(fresh.page, "One more step");
      if (problems.length === 0 && wanted) problems.push(...(await world.look(fresh, "second step")));
      await fresh.page.fill("#code", code);
      await go(fresh.page, () => fresh.page.click("main button.primary"));
      await demand(fresh.page, wanted ? "You sign in as sam" : "That code is wrong or was used already");
      await fresh.context.close();
    };
    const code = totp(secret, Date.now() / 1000);
    await enter(code, true);
    await enter(code, false);
    await enter(codes[0], true);
    await enter(codes[0], false);
    return problems;
  });
  await tab.context.close();
  await elsewhere.context.close();
}

// Operators: by provider, and once more before what is dangerous.
async function operators(world, provider) {
  const { url, test, demo } = world;
  await test("the console's sign-in names the provider, and refuses without the group", async () => {
    const tab = await world.page();
    await tab.page.goto(`${url}/console/signin`);
    const problems = await world.look(tab, "console sign-in with a provider");
    await provider.set({ user: "bob", groups: null });
    await go(tab.page, () => tab.page.click("text=Sign in by Corp"));
    await demand(tab.page, "You are in none of the groups at Corp that may sign in here.");
    problems.push(...(await world.look(tab, "console sign-in refused")));
    await tab.context.close();
    return problems;
  });
  const tab = await world.page();
  const { page } = tab;
  await test("with the group an operator comes in", async () => {
    await provider.set({ user: "alice", groups: ["admins"] });
    await page.goto(`${url}/console/operators`);
    await go(page, () => page.click("text=Sign in by Corp"));
    if (page.url() !== `${url}/console/operators`) throw new Error(`the sign-in led to ${page.url()}`);
    await demand(page, "alice");
    return world.look(tab, "console operators");
  });
  await test("what is dangerous says what it does, and asks for the name", async () => {
    await page.goto(`${url}/console/tenants/default`);
    await go(page, () => page.click("main a:has-text('Delete')"));
    await demand(page, "Delete default?");
    const problems = await world.look(tab, "console delete");
    await page.fill("#word", "something");
    await go(page, () => page.click("main button.danger"));
    await demand(page, "Type default to confirm");
    return [...problems, ...(await world.look(tab, "console delete refused"))];
  });
  await test("it asks once more who it is, by password or at the provider", async () => {
    await page.goto(`${url}/console/confirm?next=/console/operators`);
    const problems = await world.look(tab, "console confirm by provider");
    await go(page, () => page.click("text=Sign in once more by Corp"));
    if (page.url() !== `${url}/console/operators`) throw new Error(`confirming led to ${page.url()}`);
    const local = await world.page();
    await signIn(local.page, `${url}/console/signin`, demo.operator, demo.operator_password);
    await local.page.goto(`${url}/console/confirm?next=/console/operators`);
    problems.push(...(await world.look(local, "console confirm by password")));
    await local.page.fill("#password", "wrong");
    await go(local.page, () => local.page.click("main button.primary"));
    await demand(local.page, "The password is wrong.");
    await local.page.fill("#password", demo.operator_password);
    await go(local.page, () => local.page.click("main button.primary"));
    if (local.page.url() !== `${url}/console/operators`) throw new Error(`confirming led to ${local.page.url()}`);
    await local.context.close();
    return [...problems, ...tab.watched.take()];
  });
  await tab.context.close();
}

export async function identity(world) {
  if (!world.demo.providerPort) return [];
  const all = new World(world);
  let provider;
  try {
    provider = await byProvider(all);
    await settingsPages(all);
    await security(all);
    await operators(all, provider);
  } finally {
    await provider?.stop();
    all.demo.command("identity", "remove", "corp", "--tenant", "default");
  }
  return [];
}

// One browser, signed in to two workspaces below /t/ at once: each keeps its own session and shows its own notes.

import { execFile } from "node:child_process";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { signIn } from "./keyboard.mjs";

const PASSWORD = "Two-Workspaces-1";

async function writeNote(page, base, text) {
  await page.goto(base, { waitUntil: "load" });
  const form = page.locator('form[action$="/notes"]').first();
  await form.locator('textarea[name="content"]').fill(text);
  await Promise.all([page.waitForNavigation({ waitUntil: "load" }), form.locator('button[type="submit"], button:not([type])').last().click()]);
}

export async function twoTenants({ browser, url, test, demo, binary }) {
  if (!binary || !demo.folder || demo.folder === "/tmp") return;
  const run = promisify(execFile);
  // Commands refuse settings that they do not know.
  const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("HOLDFAST_")));
  const secret = join(demo.folder, "two-tenants");
  await writeFile(secret, PASSWORD);
  const people = [["red", "rosa"], ["blue", "bela"]];
  for (const [slug, owner] of people) {
    await run(binary, ["tenant", "create", slug, "--owner", owner, "--password-file", secret, "--data", join(demo.folder, "data")], { env });
  }
  const context = await browser.newContext();
  const page = await context.newPage();
  const base = (slug) => `${url}/t/${slug}/`;
  await test("one browser signs in to two workspaces", async () => {
    for (const [slug, owner] of people) {
      await signIn(page, `${base(slug)}signin`, owner, PASSWORD);
      await writeNote(page, base(slug), `this note is ${slug}`);
    }
    return [];
  });
  const shows = async (slug) => {
    await page.goto(base(slug), { waitUntil: "load" });
    return page.content();
  };
  await test("each workspace shows its own notes, and nothing of the other", async () => {
    const problems = [];
    for (const [slug, other] of [["red", "blue"], ["blue", "red"], ["red", "blue"]]) {
      const text = await shows(slug);
      if (!text.includes(`this note is ${slug}`)) problems.push(`${slug} does not show its note`);
      if (text.includes(`this note is ${other}`)) problems.push(`${slug} shows the note of ${other}`);
    }
    return problems;
  });
  await test("their cookies are kept apart by their paths", async () => {
    const paths = (await context.cookies()).filter((cookie) => cookie.name === "holdfast_session").map((cookie) => cookie.path).sort();
    return JSON.stringify(paths) === '["/t/blue/","/t/red/"]' || JSON.stringify(paths) === '["/t/blue","/t/red"]' ? [] : [JSON.stringify(paths)];
  });
  await test("signing out of one leaves the other", async () => {
    await page.goto(base("red"), { waitUntil: "load" });
    await Promise.all([page.waitForNavigation({ waitUntil: "load" }), page.locator('form[action$="/signout"] button').first().click()]);
    const problems = [];
    if ((await shows("red")).includes("this note is red")) problems.push("red still shows its note");
    if (!(await shows("blue")).includes("this note is blue")) problems.push("blue is signed out as well");
    return problems;
  });
  await context.close();
}

// What people do, by keyboard alone, with the page's script and without it.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import { pressAndGo, signIn, tabInNote, tabToId, tabToText } from "./keyboard.mjs";
import { axe, overflow, watch } from "./watch.mjs";

const has = (page, text) => page.evaluate((text) => document.querySelector("main").innerText.includes(text), text);

async function demand(page, text, wanted = true) {
  if ((await has(page, text)) !== wanted) throw new Error(`${page.url()} ${wanted ? "does not show" : "still shows"} "${text}"`);
}

async function write(page, url, mark, javaScriptEnabled) {
  await page.goto(`${url}/`);
  await tabToId(page, "content");
  await page.keyboard.type(`${mark} first line\n#browser-test`);
  await tabToId(page, "visibility");
  await page.keyboard.type("Everyone");
  if (javaScriptEnabled) {
    await tabToId(page, "content").catch(() => page.focus("#content"));
    await pressAndGo(page, "Control+Enter");
  } else {
    await tabToText(page, "Save");
    await pressAndGo(page, "Enter");
  }
  await demand(page, "Saved.");
  await demand(page, `${mark} first line`);
}

async function openMenu(page, mark) {
  await tabInNote(page, mark, "More for this note");
  await page.keyboard.press("Enter");
}

async function change(page, mark) {
  await openMenu(page, mark);
  await tabInNote(page, mark, "Edit");
  await pressAndGo(page, "Enter");
  await tabToId(page, "content");
  await page.keyboard.press("Control+End");
  await page.keyboard.type(" second thought");
  await tabToText(page, "Save");
  await pressAndGo(page, "Enter");
  await demand(page, "second thought");
}

async function talk(page, mark) {
  await tabInNote(page, mark, "Add a reaction");
  await page.keyboard.press("Enter");
  await tabInNote(page, mark, "React with 👍");
  await pressAndGo(page, "Enter");
  await demand(page, "👍 1");
  await tabToId(page, "comment");
  await page.keyboard.type("a comment by keyboard");
  await tabToText(page, "Comment");
  await pressAndGo(page, "Enter");
  await demand(page, "a comment by keyboard");
}

async function putAway(page, mark) {
  await openMenu(page, mark);
  await tabInNote(page, mark, "Archive");
  await pressAndGo(page, "Enter");
  await demand(page, "Archived");
  await openMenu(page, mark);
  await tabInNote(page, mark, "Back to the notes");
  await pressAndGo(page, "Enter");
  await demand(page, "Back among the notes.");
}

async function remove(page, url, mark) {
  await openMenu(page, mark);
  await tabInNote(page, mark, "Edit");
  await pressAndGo(page, "Enter");
  await tabToText(page, "Delete this note");
  await pressAndGo(page, "Enter");
  await demand(page, "Deleted.");
  await page.goto(`${url}/?q=${mark}`);
  await demand(page, "Nothing found");
}

// Sign in, write, edit, talk, put away, delete, sign out.
export async function memberByKeyboard({ browser, url, test, demo }, javaScriptEnabled) {
  const how = javaScriptEnabled ? "by keyboard" : "by keyboard, script off";
  const mark = `mark${javaScriptEnabled ? "on" : "off"}${Date.now()}`;
  const context = await browser.newContext({ viewport: { width: 1000, height: 900 }, javaScriptEnabled });
  const page = await context.newPage();
  const watched = await watch(page);
  page.on("dialog", (dialog) => dialog.accept());
  const step = (name, act) =>
    test(`${name}, ${how}`, async () => {
      await act();
      return watched.take();
    });
  await step("sign in", async () => {
    await signIn(page, `${url}/signin?next=/account`, demo.owner, demo.password);
    if (page.url() !== `${url}/account`) throw new Error(`signing in led to ${page.url()}`);
  });
  await step("write", () => write(page, url, mark, javaScriptEnabled));
  await step("edit", () => change(page, mark));
  await step("react and comment", () => talk(page, mark));
  await step("archive and bring back", () => putAway(page, mark));
  await step("delete", () => remove(page, url, mark));
  await step("make and revoke a token", async () => {
    await page.goto(`${url}/account`);
    await tabToId(page, "description");
    await page.keyboard.type(mark);
    await tabToText(page, "Make a token");
    await pressAndGo(page, "Enter");
    await demand(page, "shown this once");
    await tabToText(page, `Revoke ${mark}`);
    await pressAndGo(page, "Enter");
    await demand(page, "The token is revoked.");
    await demand(page, mark, false);
  });
  await step("sign out", async () => {
    await page.goto(`${url}/`);
    await tabToText(page, "Sign out");
    await pressAndGo(page, "Enter");
    if (!page.url().startsWith(`${url}/signin`)) throw new Error(`signing out led to ${page.url()}`);
  });
  await context.close();
}

// Files, refused forms, texts that must not get lost.
export async function forms({ browser, url, test, member, demo, source }) {
  for (const javaScriptEnabled of [true, false]) {
    const how = javaScriptEnabled ? "" : ", script off";
    const context = await browser.newContext({ viewport: { width: 390, height: 900 }, storageState: member, javaScriptEnabled });
    const page = await context.newPage();
    const watched = await watch(page);
    const save = () => Promise.all([page.waitForNavigation(), page.click(".composer .primary")]);
    await test(`a file is taken in and comes back${how}`, async () => {
      const path = join(demo.folder, "näme & co.txt");
      await writeFile(path, "the file's own text");
      await page.goto(`${url}/`);
      await page.setInputFiles("#files", path);
      await save();
      await demand(page, "Saved.");
      await demand(page, "näme & co.txt"); // a name that came otherwise is told at once, not by a selector that waits
      const link = await page.getAttribute(".files a:has-text('näme & co.txt')", "href");
      const answer = await context.request.get(new URL(link, url).href);
      if ((await answer.text()) !== "the file's own text") throw new Error(`the file came back as ${answer.status()}`);
      return watched.take();
    });
    await test(`an empty note is refused in words${how}`, async () => {
      await page.goto(`${url}/`);
      await save();
      await demand(page, "Write something");
      return [...(await overflow(page)), ...(javaScriptEnabled ? await axe(page, source) : []), ...watched.take()];
    });
    await test(`a text that was changed elsewhere is not overwritten unseen${how}`, async () => {
      await page.goto(`${url}/`);
      await page.fill("#content", "conflict base");
      await save();
      const edit = await page.getAttribute(".note:has-text('conflict base') a[href$='/edit']", "href");
      const other = await context.newPage();
      await page.goto(url + edit);
      await page.waitForTimeout(1100); // times of change are whole seconds
      await other.goto(url + edit);
      await other.fill("#content", "theirs");
      await Promise.all([other.waitForNavigation(), other.click("main button.primary")]);
      await other.close();
      await page.fill("#content", "mine");
      await Promise.all([page.waitForNavigation(), page.click("main button.primary")]);
      await demand(page, "changed meanwhile");
      if ((await page.inputValue("#content")) !== "mine") throw new Error("the text that was being written is gone");
      return [...(javaScriptEnabled ? await axe(page, source) : []), ...watched.take()];
    });
    await context.close();
  }
  const context = await browser.newContext({ storageState: member });
  const page = await context.newPage();
  await test("a draft outlives the page, and goes when it is saved", async () => {
    await page.goto(`${url}/`);
    await page.fill("#content", "a draft");
    await page.reload();
    if ((await page.inputValue("#content")) !== "a draft") throw new Error("the draft is gone");
    await Promise.all([page.waitForNavigation(), page.click(".composer .primary")]);
    if ((await page.inputValue("#content")) !== "") throw new Error("the draft is still there after saving");
    await page.reload();
    if ((await page.inputValue("#content")) !== "") throw new Error("the draft came back after saving");
    return [];
  });
  await test("a wrong password is refused in words", async () => {
    const stranger = await browser.newPage();
    const watched = await watch(stranger);
    await signIn(stranger, `${url}/signin`, demo.owner, "wrong");
    const problems = [...(await overflow(stranger)), ...(await axe(stranger, source)), ...watched.take()];
    if (!(await stranger.$("[role=alert]"))) problems.push("nothing says what is wrong");
    await stranger.close();
    return problems;
  });
  await context.close();
}

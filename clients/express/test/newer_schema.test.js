'use strict';

const assert = require('node:assert/strict');
const fs = require('node:fs');
const path = require('node:path');
const { test } = require('node:test');
const { Browser, Database, Site } = require('./site');

// Go migrates first, so Node's store is the older one for a while.
test('a store that is older than the schema works on', async () => {
  const database = await Database.make();
  const site = await Site.start(database);
  try {
    const browser = new Browser();
    await browser.fetch(`${site.url}/login?user=ada`);
    const file = path.join(__dirname, '..', '..', '..', 'integration', 'migrate', 'testdata',
      'next.sql');
    const [up] = fs.readFileSync(file, 'utf8').split('-- +goose Down');
    await database.query(up);
    await browser.fetch(`${site.url}/set?color=blue`);
    const got = await browser.json(`${site.url}/get`);
    assert.equal(got.userId, 'ada');
    assert.equal(got.color, 'blue');
    await new Browser().fetch(`${site.url}/login?user=ada`);
    const { sessions } = await site.store.list('ada');
    assert.equal(sessions.length, 2);
    assert.equal(await site.store.revoke('ada', sessions[0].handle), true);
    assert.equal(await site.store.revokeUser('ada'), 1);
    assert.equal((await browser.json(`${site.url}/get`)).userId, undefined);
  } finally {
    await site.stop();
    await database.drop();
  }
});

/** What the page says to the site while a person does steps, and what it makes of silence. Run by `node --test`. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Site, StepRefused } from '../../public/site.js';

globalThis.location = { href: 'https://example.org/login' };

const CHALLENGE = { id: 'c'.repeat(32), steps: [{ step: 'turn_left' }], frames_per_step: 1, step_s: 15, expires_s: 60 };
const BEGUN = { nonce: 'n'.repeat(32), challenge: CHALLENGE };
const frame = (text) => new Blob([text]);
const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

/** A site that answers as listed, after its nonce; an Error is a connection that is lost. */
async function site(...answers) {
    const asked = [];
    globalThis.fetch = async (address, { body }) => {
        asked.push([address, body instanceof FormData ? [...body.keys()] : JSON.parse(body)]);
        const answer = address === '/capture' ? BEGUN : answers.shift();
        if (answer instanceof Error) {
            throw answer;
        }
        return Response.json(answer);
    };
    const made = new Site({ purpose: 'login', action: '/login/face', csrf: 't' });
    made.begin();
    await made.challenge();
    asked.length = 0;
    return { made, asked };
}

test('a step is told of by the hashes of its pictures', async () => {
    const { made, asked } = await site({ ok: true });
    await made.tell(0, [frame('')]);
    assert.deepEqual(asked, [['/capture/step', { challenge: CHALLENGE.id, step: 0, sha256s: [EMPTY_SHA256] }]]);
});

test('steps are told of one after the other, however soon they come', async () => {
    const { made, asked } = await site({ ok: true }, { ok: true }, { ok: true });
    await Promise.all([0, 1, 2].map((step) => made.tell(step, [frame(String(step))])));
    assert.deepEqual(asked.map(([, said]) => said.step), [0, 1, 2]);
});

test('where nothing comes back it is said once more, in the same words', async () => {
    const { made, asked } = await site(new TypeError('lost'), { ok: true });
    await made.tell(0, [frame('a')]);
    assert.equal(asked.length, 2);
    assert.deepEqual(asked[0], asked[1]);
});

test('silence twice is the network, and nothing is told of after it', async () => {
    const { made, asked } = await site(new TypeError('lost'), new TypeError('lost'), { ok: true });
    const kinds = await Promise.all([0, 1].map((step) => made.tell(step, [frame('a')]).catch((error) => error)));
    assert.ok(kinds.every((error) => error instanceof StepRefused && error.answer.kind === 'network'));
    assert.equal(asked.length, 2);
});

test('a step that is refused says why, once', async () => {
    const { made, asked } = await site({ ok: false, code: 'not_live', message: 'Too slow.', step: 1 });
    const error = await made.tell(1, [frame('a')]).catch((refused) => refused);
    assert.ok(error instanceof StepRefused);
    assert.deepEqual([error.answer.kind, error.answer.message], ['not_live', 'Too slow.']);
    assert.equal(asked.length, 1);
});

test('a step of the attempt before is not told of the new one', async () => {
    const { made, asked } = await site({ ok: true });
    const late = made.tell(1, [frame('a')]);
    made.begin();
    await late;
    assert.equal(asked.find(([address]) => address === '/capture/step')[1].challenge, CHALLENGE.id);
});

/** Whatever the site answers becomes one of the known kinds, and never a success by accident. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readAnswer, readChallenge } from '../../public/answers.js';

const PAGE = 'https://site.example/login';
const read = (status, body) => readAnswer(status, body, PAGE);

test('success leads where the site says, here or to the site that asked', () => {
    assert.equal(read(200, { ok: true, location: '/account' }).location, 'https://site.example/account');
    assert.equal(read(200, { ok: true, location: 'https://shop.example/back?code=1' }).location, 'https://shop.example/back?code=1');
});

test('a location that is no address of the web is not gone to', () => {
    for (const location of ['javascript:alert(1)', 'data:text/html,x', 7, null, undefined]) {
        assert.equal(read(200, { ok: true, location }).location, 'https://site.example/');
    }
});

test('only a plain true with a status of success is success', () => {
    for (const [status, body] of [[200, { ok: 'true' }], [200, { ok: 1 }], [500, { ok: true }], [302, { ok: true }], [200, null], [200, 'ok'], [200, []]]) {
        assert.equal(read(status, body).kind, 'unavailable');
    }
});

test('each code is its kind, whatever the status', () => {
    for (const code of ['refused', 'quality', 'wait', 'form', 'nonce', 'unavailable']) {
        assert.equal(read(422, { ok: false, code, message: 'Sorry.' }).kind, code);
        assert.equal(read(422, { ok: false, code, message: 'Sorry.' }).message, 'Sorry.');
    }
    assert.equal(read(403, { ok: false, code: 'strange' }).kind, 'expired');
});

test('a status without an answer is told as what it means', () => {
    assert.equal(read(403, null).kind, 'expired');
    assert.equal(read(413, null).kind, 'too_large');
    assert.equal(read(500, null).kind, 'unavailable');
    assert.equal(read(0, null).kind, 'unavailable');
});

test('the reasons beside the frames are codes or nothing', () => {
    assert.deepEqual(read(200, { code: 'quality', frames: [null, 'too_dark', 4, ''] }).frames, [null, 'too_dark', null, null]);
    assert.deepEqual(read(200, { code: 'quality', frames: 'all' }).frames, []);
});

test('a wait is a whole number of seconds, at least one and at most an hour', () => {
    const wait = (seconds) => read(429, { code: 'wait', retry_after_s: seconds }).retryAfterS;
    assert.deepEqual([wait(30), wait(0.2), wait(-5), wait('x'), wait(1e9)], [30, 1, 1, 1, 3600]);
});

test('the problems of a form are sentences by field', () => {
    assert.deepEqual(read(422, { code: 'form', fields: { email: 'In use.', name: 5 } }).fields, { email: 'In use.', name: '' });
    assert.deepEqual(read(422, { code: 'form', fields: null }).fields, {});
});

const CHALLENGE = { id: 'a1', steps: [{ step: 'turn_left' }, { step: 'flash', colour: '#ff2020' }], frames_per_step: 3, step_s: 15, expires_s: 30 };

test('a challenge is read as it was given', () => {
    assert.deepEqual(readChallenge(CHALLENGE), {
        id: 'a1',
        steps: [{ kind: 'turn_left', colour: null }, { kind: 'flash', colour: '#ff2020' }],
        framesPerStep: 3,
        stepMs: 15_000,
        expiresMs: 30_000,
    });
    assert.deepEqual(readChallenge({ ...CHALLENGE, steps: [] }).steps, []);
});

test('nothing is asked where there is no challenge, or one that this page does not know', () => {
    const others = [null, undefined, 'a1', {}, { ...CHALLENGE, steps: [{ step: 'dance' }] }, { ...CHALLENGE, steps: [{ step: 'flash' }] },
        { ...CHALLENGE, steps: [{ step: 'flash', colour: 'red; x' }] }, { ...CHALLENGE, steps: [null] }];
    others.forEach((said) => assert.equal(readChallenge(said), null));
});

test('a refusal for want of life has its own kind and the site’s advice', () => {
    const answer = readAnswer(200, { ok: false, code: 'not_live', message: 'Turn further.' }, 'http://site.example/login');
    assert.deepEqual([answer.kind, answer.message], ['not_live', 'Turn further.']);
});

/** The order and the time of a challenge's steps, with a person who moves as written down. Run by `node --test`. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Straight, TooSlow, follow } from '../../public/follow.js';

function seen(right = 0) {
    const landmarks = [[290, 210], [350, 210], [320 + 60 * right, 246], [296, 270], [344, 270]];
    return { width: 640, height: 480, faces: [{ box: [220, 140, 420, 340], landmarks }] };
}

function ahead() {
    const straight = new Straight();
    straight.look(seen(), true);
    return straight.shape;
}

const TURN = { kind: 'turn_left', colour: null };
const OTHER = { kind: 'turn_right', colour: null };
const never = new AbortController().signal;

/** What the page showed and took, in order. */
function page(measured) {
    const told = [];
    const tell = (name) => (...values) => told.push([name, ...values].join(' '));
    const show = Object.fromEntries(['ask', 'hold', 'done', 'flash'].map((name) => [name, tell(name)]));
    return {
        told,
        means: {
            measure: async () => (measured.length > 1 ? measured.shift() : measured[0]),
            take: async (count) => { told.push(`take ${count}`); return Array(count).fill('frame'); },
            tell: async (number, frames) => { told.push(`tell ${number} ${frames.length}`); },
            show: { ...show, far() {}, hint() {} },
            until: Infinity,
        },
    };
}

test('each step is asked, waited for, taken and numbered before the next', async () => {
    const { told, means } = page([seen(), seen(-0.3), seen(0.3)]);
    const { frames, numbers } = await follow({ steps: [TURN, OTHER], framesPerStep: 3, stepMs: 15_000 }, ahead(), means, never);
    assert.deepEqual(told, [
        'ask turn_left 1', 'hold', 'take 3', 'tell 1 3', 'done 1', 'ask turn_right 2', 'hold', 'take 3', 'tell 2 3', 'done 2',
    ]);
    assert.deepEqual(numbers, [1, 1, 1, 2, 2, 2]);
    assert.equal(frames.length, 6);
});

test('a head that turns on is let, and taken when it rests', async () => {
    const looks = [0, -0.16, -0.19, -0.22, -0.22].map(seen);
    let looked = 0;
    const { means } = page([]);
    means.measure = async () => looks[looked++];
    await follow({ steps: [TURN], framesPerStep: 3, stepMs: 15_000 }, ahead(), means, never);
    assert.equal(looked, 5);
});

test('a step that the daemon refuses is the last', async () => {
    const { told, means } = page([seen(-0.3)]);
    means.tell = async () => { throw new Error('refused'); };
    await assert.rejects(follow({ steps: [TURN, OTHER], framesPerStep: 3, stepMs: 15_000 }, ahead(), means, never), /refused/);
    assert.deepEqual(told, ['ask turn_left 1', 'hold', 'take 3', 'done 1']);
});

test('without steps nothing is asked', async () => {
    const { told, means } = page([seen()]);
    assert.deepEqual(await follow({ steps: [], framesPerStep: 3, stepMs: 15_000 }, ahead(), means, never), { frames: [], numbers: [] });
    assert.deepEqual(told, []);
});

test('who does not move in time is too slow, and no picture of the step is taken', async () => {
    const { told, means } = page([seen()]);
    means.until = performance.now() + 50;
    means.measure = () => new Promise((resolve) => setTimeout(() => resolve(seen()), 10));
    await assert.rejects(follow({ steps: [TURN], framesPerStep: 3, stepMs: 15_000 }, ahead(), means, never), TooSlow);
    assert.deepEqual(told, ['ask turn_left 1']);
});

test('a daemon that gives a step less time is heeded', async () => {
    const { means } = page([seen()]);
    means.measure = () => new Promise((resolve) => setTimeout(() => resolve(seen()), 10));
    await assert.rejects(follow({ steps: [TURN], framesPerStep: 3, stepMs: 3050 }, ahead(), means, never), TooSlow);
});

test('a page that is left while a step is being told of asks for no other', async () => {
    const { told, means } = page([seen(-0.3)]);
    const left = new AbortController();
    means.tell = () => new Promise((resolve) => setTimeout(resolve, 500));
    const going = follow({ steps: [TURN, OTHER], framesPerStep: 3, stepMs: 15_000 }, ahead(), means, left.signal);
    setTimeout(() => left.abort(new Error('left')), 400);
    await assert.rejects(going, /left/);
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.ok(!told.includes('ask turn_right 2'));
});

test('where nobody sees the movement it has its time', async () => {
    const { told, means } = page([null]);
    const began = performance.now();
    await follow({ steps: [TURN], framesPerStep: 3, stepMs: 15_000 }, null, means, never);
    assert.ok(performance.now() - began >= 2400);
    assert.deepEqual(told, ['ask turn_left 1', 'hold', 'take 3', 'tell 1 3', 'done 1']);
});

test('colours come after a warning and stay half a second at least, so that none flashes three times in a second', async () => {
    const { told, means } = page([seen()]);
    const changes = [];
    means.show.flash = (colour) => { told.push(`flash ${colour}`); changes.push(performance.now()); };
    const colours = ['#ff2020', '#20ff20', '#2020ff'].map((colour) => ({ kind: 'flash', colour }));
    const began = performance.now();
    const { numbers } = await follow({ steps: colours, framesPerStep: 3, stepMs: 15_000 }, ahead(), means, never);
    assert.deepEqual(told.filter((line) => line.startsWith('flash')), ['flash #ff2020', 'flash #20ff20', 'flash #2020ff', 'flash null']);
    assert.deepEqual(told.filter((line) => line.startsWith('done')), ['done 3'], 'who is told so before moves again');
    assert.ok(changes[0] - began >= 1900);
    assert.ok(changes.slice(1).every((at, i) => at - changes[i] >= 480));
    assert.deepEqual(numbers, [1, 1, 1, 2, 2, 2, 3, 3, 3]);
});

test('a page that is left breaks it off', async () => {
    const { means } = page([null]);
    const left = new AbortController();
    const going = follow({ steps: [TURN], framesPerStep: 3, stepMs: 15_000 }, null, means, left.signal);
    setTimeout(() => left.abort(new Error('left')), 20);
    await assert.rejects(going, /left/);
});

test('only good looks in a row count as looking straight ahead', () => {
    const straight = new Straight();
    straight.look(seen(), true);
    straight.look(seen(), false);
    assert.equal(straight.shape, null);
});

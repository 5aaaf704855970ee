/**
 * How long do three movements take somebody who knows what to do? `node face_web/tests/js/practised.bench.js`: the page's own
 * follow.js with its real waits, and a person by numbers, since none was timed.
 */

import { STEP_BETWEEN_MS, Straight, follow } from '../../public/follow.js';

/** The person: from the words to the first movement, and until the head is turned by some 22 degrees, which it then stays. */
const [REACTS_MS, MOVES_MS, TURNED] = [300, 500, 0.3];
/** The machine: one look for the face with the page's rest, one JPEG of the camera's picture, the camera's lag, telling of a step. */
const [LOOK_MS, JPEG_MS, LAG_MS, TOLD_MS] = [100, 30, 80, 50];

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const kinds = ['turn_left', 'look_up', 'turn_right'];
let [asked, at] = ['', 0];

function seen() {
    const done = Math.min(1, Math.max(0, performance.now() - at - REACTS_MS - LAG_MS) / MOVES_MS) * TURNED * 60;
    const [right, down] = { turn_left: [-done, 0], turn_right: [done, 0], look_up: [0, -done] }[asked] ?? [0, 0];
    const landmarks = [[290, 210], [350, 210], [320 + right, 246 + down], [296, 270], [344, 270]];
    return { width: 640, height: 480, faces: [{ box: [220, 140, 420, 340], landmarks }] };
}

async function take(count) {
    await wait(count * JPEG_MS + (count - 1) * STEP_BETWEEN_MS);
    return Array(count).fill('frame');
}

const straight = new Straight();
straight.look(seen(), true);
const show = { ask: (kind) => { [asked, at] = [kind, performance.now()]; }, hold() {}, done() {}, far() {}, hint() {}, flash() {} };
const measure = async () => { await wait(LOOK_MS); return seen(); };
const began = performance.now();
await take(3);
const steps = kinds.map((kind) => ({ kind, colour: null }));
const means = { measure, take, tell: () => wait(TOLD_MS), show, until: Infinity };
await follow({ steps, framesPerStep: 3, stepMs: 15_000 }, straight.shape, means, new AbortController().signal);
console.log(`${kinds.length} movements, looking ahead before them included: ${((performance.now() - began) / 1000).toFixed(1)} s`);

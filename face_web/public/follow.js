/**
 * Leads a person through the steps of a challenge, one at a time: says it, watches until it is done, takes its pictures.
 * Owns the order and the time of it. Knows no page beyond what it is given to show, no server and no face finder.
 */

import { middleOf, progress, shapeOf } from './challenge.js';
import { pause } from './pause.js';

/** A step that takes longer than this is not done any more, unless a slow machine has hardly looked yet. */
const STEP_MS = 8000;
const LEAST_LOOKS = 15;

/**
 * A head that still moves on is let, up to so many times what is enough, some 22 degrees: the daemon refuses turns that are
 * too slight to show a head's depth. It has come to rest when it went less than this further since the last look, in the
 * same measure: what the finder itself strays by while a head is still (challenge.js), and a tenth of what a quick turn goes.
 */
const FULL = 1.6;
const RESTS = 0.1;

/** Of the time that the daemon gives a step, what its pictures and telling of them may take. */
const TOLD_MS = 3000;

/** Where nobody sees the movement: how long each may take, the words included. */
const BLIND_MS = 2500;

/** No hint before this: who has only read what to do needs none. */
const HINT_MS = 1500;

/** The tick stays so long after the pictures, during which it was there: a third of a second in all. */
const TICK_MS = 150;

/**
 * Pictures of one step follow each other so fast; with what it takes to make one, three take some 0.3 s, in which a head
 * holds still. A camera that is slower in poor light gives one picture twice, and is waited for (capture.js).
 */
export const STEP_BETWEEN_MS = 80;

/** The person is warned. The camera gets so long to see a colour, so that none stays for less: two in a second. */
const WARNING_MS = 2000;
const SETTLED_MS = 500;

/** Of so many last looks straight ahead the middle is what movements are measured against. */
const LOOKS = 5;

/** The step was not done in its time. */
export class TooSlow extends Error {}

/** The person's own shape while looking straight ahead, of the latest looks. */
export class Straight {
    #shapes = [];

    /** Another measurement; one that is not good does not count, and neither do those before it. */
    look(measurement, good) {
        const shape = good ? shapeOf(measurement) : null;
        this.#shapes = shape === null ? [] : [...this.#shapes, shape].slice(-LOOKS);
    }

    /** A shape, or null where none was seen. */
    get shape() {
        return middleOf(this.#shapes);
    }
}

/**
 * @param {{steps: Array<{kind: string, colour: string|null}>, framesPerStep: number, stepMs: number}} challenge
 * @param {object|null} first the person looking straight ahead; null: nobody sees movements here
 * @param {{measure: () => Promise<object|null>, take: (count: number) => Promise<Blob[]>, show: object,
 *     tell: (number: number, frames: Blob[]) => Promise<void>, until: number}} means measure: as guidance.js takes it, null
 *     where nobody knows; show: a Steps; tell: a step's pictures are taken; until: when it is too late
 * @returns {Promise<{frames: Blob[], numbers: number[]}>} number: of the step that a frame was taken in, from 1 on.
 *     Rejects with TooSlow, with what tell() rejects with, or with the signal's reason
 */
export async function follow({ steps, framesPerStep, stepMs }, first, means, signal) {
    const { take, show, tell } = means;
    const frames = [];
    const numbers = [];
    for (const [i, step] of steps.entries()) {
        signal.throwIfAborted();
        const number = i + 1;
        const [before, after] = [steps[i - 1]?.colour ?? null, steps[number]?.colour ?? null];
        let taken;
        if (step.colour === null) {
            show.ask(step.kind, number);
            const until = Math.min(means.until, performance.now() + stepMs - TOLD_MS);
            await performed(step.kind, first, { ...means, until }, signal);
            show.hold();
            taken = await take(framesPerStep);
        } else {
            if (before === null) {
                show.ask('flash', number);
                await pause(WARNING_MS, signal);
            }
            taken = await lit(step.colour, () => take(framesPerStep), show, signal);
            if (after === null) {
                show.flash(null);
            }
        }
        frames.push(...taken);
        numbers.push(...Array(framesPerStep).fill(number));
        const told = tell(number, taken);
        // Between two colours nothing is done yet: who reads "good" no longer holds still.
        if (step.colour === null || after === null) {
            show.done(number);
            await Promise.all([told, pause(number < steps.length ? TICK_MS : 0, signal)]);
        } else {
            await told;
        }
    }
    return { frames, numbers };
}

async function performed(kind, first, { measure, show, until }, signal) {
    const began = performance.now();
    const passed = () => performance.now() - began;
    let before = 0;
    for (let looks = 0; (passed() < STEP_MS || looks < LEAST_LOOKS) && performance.now() < until; looks++) {
        const measured = first === null ? null : await measure();
        signal.throwIfAborted();
        if (measured === null) {
            return timed(show, signal);
        }
        const { reach, done, hint } = progress(kind, first, measured);
        show.far(Math.min(1, reach));
        if (done && (reach >= FULL || reach <= before + RESTS)) {
            return undefined;
        }
        before = done ? reach : 0;
        show.hint(passed() > HINT_MS ? hint : null);
    }
    throw new TooSlow(kind);
}

/** The ring tells the time that is left, since nothing else is known. */
async function timed(show, signal) {
    const began = performance.now();
    for (let passed = 0; passed < BLIND_MS; passed = performance.now() - began) {
        show.far(passed / BLIND_MS);
        await pause(100, signal);
    }
}

async function lit(colour, take, show, signal) {
    show.flash(colour);
    await pause(SETTLED_MS, signal);
    return take();
}

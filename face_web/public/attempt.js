/**
 * The pictures of one attempt, and of which step each is: bursts, or a look straight ahead and the steps of a challenge.
 * Knows the video it is given and who shows the steps; no server, and not what is made of the pictures.
 */

import { takeBurst } from './capture.js';
import { STEP_BETWEEN_MS, Straight, follow } from './follow.js';

/** Of a challenge's time, what sending the pictures and looking at them may take. */
const SENT_MS = 6000;

export class Attempt {
    /** @type {Blob[]} */
    frames = [];
    /** The step of each frame, 0 being straight ahead; empty where no challenge is answered. */
    numbers = [];
    #straight = new Straight();

    /** What was measured before; `good`: the person looked straight ahead. */
    look(measured, good) {
        this.#straight.look(measured, good);
    }

    /** One burst. Rejects with Frozen, or with the signal's reason. */
    async burst(video, count, signal) {
        this.frames.push(...(await takeBurst(video, count, signal)));
    }

    /**
     * Looking straight ahead, then the steps of a challenge; `began` is called between. Rejects as burst, and as follow().
     * @param {{measure: () => Promise<object|null>, show: object, tell: Function}} means as of follow()
     */
    async answer(challenge, video, means, began, signal) {
        const until = performance.now() + challenge.expiresMs - SENT_MS;
        const take = (count) => takeBurst(video, count, signal, STEP_BETWEEN_MS);
        this.frames.push(...(await take(challenge.framesPerStep)));
        this.numbers = Array(challenge.framesPerStep).fill(0);
        if (challenge.steps.length > 0) {
            means.tell(0, [...this.frames]); // the next waits for it
        }
        began();
        const { frames, numbers } = await follow(challenge, this.#straight.shape, { ...means, take, until }, signal);
        this.frames.push(...frames);
        this.numbers.push(...numbers);
    }
}

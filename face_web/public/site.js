/**
 * The site's addresses for the camera: a nonce with a challenge, a step that is done, a rough detection, a capture. Knows no
 * page and no camera.
 */

import { readAnswer, readChallenge } from './answers.js';

/** A nonce lives 60 s; an older one than this might die on the way. */
const NONCE_MS = 45_000;

/** The whole of an upload and its answer, on a slow line. */
const SEND_MS = 60_000;
const ASK_MS = 5_000;

/** As long as the site waits for the daemon, as shipped. */
const BEGIN_MS = 16_000;

/** The daemon takes no more of this challenge; `answer` is one of answers.js. */
export class StepRefused extends Error {
    constructor(answer) {
        super(answer.kind);
        this.answer = answer;
    }
}

export class Site {
    #purpose;
    #action;
    #csrf;
    #nonce = null;
    /** What was told last; each waits for the one before it, since the daemon wants them in their order. */
    #told = Promise.resolve();

    constructor({ purpose, action, csrf }) {
        this.#purpose = purpose;
        this.#action = action;
        this.#csrf = csrf;
    }

    /** Asks for a nonce now, so that it is there when the frames are; and, for a login, for what is to be done then. */
    begin(flashes = false) {
        this.#nonce = { at: performance.now(), answer: this.#askNonce(flashes) };
        this.#nonce.answer.catch(() => {}); // told by send()
        this.#told = Promise.resolve();
    }

    /**
     * What a living person is to do, once it is known.
     * @returns {Promise<object|null>} a challenge (see answers.js); null where there is none, or no nonce, as send() will tell
     */
    async challenge() {
        const begun = await this.#nonce?.answer.catch(() => null);
        return begun?.challenge ?? null;
    }

    /**
     * Says that a step of the challenge is done, 0 being straight ahead, by the hashes of its pictures.
     * @param {Blob[]} frames
     * @returns {Promise<void>} rejects with StepRefused
     */
    tell(step, frames) {
        const begun = this.#nonce;
        this.#told = this.#told.then(() => this.#tell(begun, step, frames));
        this.#told.catch(() => {}); // told by whoever waits for it, or for the next
        return this.#told;
    }

    /**
     * Sends frames with a form's fields, in one request, and uses the nonce up.
     * @param {Blob[]} frames
     * @param {FormData} fields
     * @param {number[]} numbers of the step of each frame, where a challenge is answered
     * @returns {Promise<object>} an answer of answers.js; its kind is `network` when nothing came
     */
    async send(frames, fields, numbers = []) {
        try {
            if (this.#nonce === null || (numbers.length === 0 && performance.now() - this.#nonce.at > NONCE_MS)) {
                this.begin();
            }
            const begun = await this.#nonce.answer;
            if (begun.kind !== undefined) {
                return begun;
            }
            fields.set('nonce', begun.value);
            if (begun.challenge !== null) {
                fields.set('challenge', begun.challenge.id);
                fields.set('frame_steps', numbers.join(','));
            }
            frames.forEach((frame, i) => fields.append('frames[]', frame, `frame-${i + 1}.jpg`));
            return await this.#answer(await this.#post(this.#action, fields, SEND_MS));
        } catch {
            return nothingCame();
        } finally {
            this.#nonce = null;
        }
    }

    /** @returns {Promise<{faces: Array}|null>} null: not now; a picture that the daemon refuses has no face */
    async detect(jpeg) {
        const form = new FormData();
        form.set('frame', jpeg, 'frame.jpg');
        const answer = await this.#post('/capture/detect', form, ASK_MS);
        if (!answer.ok) {
            return answer.status === 400 ? { faces: [] } : null;
        }
        const found = await answer.json();
        return Array.isArray(found?.faces) ? { faces: found.faces.map(faceOf) } : null;
    }

    /** Where no answer comes it is said once more: the site knows a step that it heard of. */
    async #tell(begun, step, frames) {
        const { challenge } = await begun.answer;
        const said = { challenge: challenge.id, step, sha256s: await Promise.all(frames.map(sha256Of)) };
        const told = async () => this.#answer(await this.#postJson('/capture/step', said, ASK_MS));
        const answer = await told().catch(told).catch(nothingCame);
        if (answer.kind !== 'ok') {
            throw new StepRefused(answer);
        }
    }

    async #askNonce(flash) {
        const answer = await this.#postJson('/capture', { purpose: this.#purpose, flash }, BEGIN_MS);
        const said = await answer.clone().json().catch(() => null);
        return answer.ok && typeof said?.nonce === 'string' && said.ok !== false
            ? { value: said.nonce, challenge: readChallenge(said.challenge) }
            : this.#answer(answer);
    }

    async #answer(answer) {
        return readAnswer(answer.status, await answer.json().catch(() => null), location.href);
    }

    #postJson(address, said, limitMs) {
        return this.#post(address, JSON.stringify(said), limitMs, { 'Content-Type': 'application/json' });
    }

    #post(address, body, limitMs, headers = {}) {
        return fetch(address, {
            method: 'POST',
            body,
            headers: { 'X-CSRF-Token': this.#csrf, Accept: 'application/json', ...headers },
            credentials: 'same-origin',
            redirect: 'error',
            signal: AbortSignal.timeout(limitMs),
        });
    }
}

function nothingCame() {
    return { ...readAnswer(0, null, location.href), kind: 'network' };
}

async function sha256Of(blob) {
    const hash = new Uint8Array(await crypto.subtle.digest('SHA-256', await blob.arrayBuffer()));
    return [...hash].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}

function faceOf({ box, landmarks }) {
    return { box, landmarks: Array.isArray(landmarks) && landmarks.length === 5 ? landmarks : null };
}

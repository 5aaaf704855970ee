/** The site's addresses for the camera: a nonce, a rough detection, a capture. Knows no page and no camera. */

import { readAnswer } from './answers.js';

/** A nonce lives 60 s; an older one than this might die on the way. */
const NONCE_MS = 45_000;

/** The whole of an upload and its answer, on a slow line. */
const SEND_MS = 60_000;
const ASK_MS = 5_000;

export class Site {
    #purpose;
    #action;
    #csrf;
    #nonce = null;

    constructor({ purpose, action, csrf }) {
        this.#purpose = purpose;
        this.#action = action;
        this.#csrf = csrf;
    }

    /** Asks for a nonce now, so that it is there when the frames are. */
    begin() {
        this.#nonce = { at: performance.now(), answer: this.#askNonce() };
        this.#nonce.answer.catch(() => {}); // told by send()
    }

    /**
     * Sends frames with a form's fields, in one request, and uses the nonce up.
     * @param {Blob[]} frames
     * @param {FormData} fields
     * @returns {Promise<object>} an answer of answers.js; its kind is `network` when nothing came
     */
    async send(frames, fields) {
        try {
            if (this.#nonce === null || performance.now() - this.#nonce.at > NONCE_MS) {
                this.begin();
            }
            const nonce = await this.#nonce.answer;
            if (nonce.kind !== undefined) {
                return nonce;
            }
            fields.set('nonce', nonce.value);
            frames.forEach((frame, i) => fields.append('frames[]', frame, `frame-${i + 1}.jpg`));
            return await this.#answer(await this.#post(this.#action, fields, SEND_MS));
        } catch {
            return { ...readAnswer(0, null, location.href), kind: 'network' };
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

    async #askNonce() {
        const answer = await this.#post('/capture', new URLSearchParams({ purpose: this.#purpose }), ASK_MS);
        const said = await answer.clone().json().catch(() => null);
        return answer.ok && typeof said?.nonce === 'string' ? { value: said.nonce } : this.#answer(answer);
    }

    async #answer(answer) {
        return readAnswer(answer.status, await answer.json().catch(() => null), location.href);
    }

    #post(address, body, limitMs) {
        return fetch(address, {
            method: 'POST',
            body,
            headers: { 'X-CSRF-Token': this.#csrf, Accept: 'application/json' },
            credentials: 'same-origin',
            redirect: 'error',
            signal: AbortSignal.timeout(limitMs),
        });
    }
}

function faceOf({ box, landmarks }) {
    return { box, landmarks: Array.isArray(landmarks) && landmarks.length === 5 ? landmarks : null };
}

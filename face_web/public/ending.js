/**
 * How an attempt ends: what the page does with the site's answer. Knows the panel, the form and, by what it is given, how the
 * camera is stopped and started; no server.
 */

/** Bad pictures are taken again by themselves so often, after so long that the reason can be read. */
const AUTO_RETRIES = 3;
const AUTO_RETRY_MS = 2500;

export class Ending {
    #t;
    #panel;
    #form;
    #reviewed;
    #camera;
    #retries = 0;
    #renewed = false;

    /**
     * @param {{stop: Function, enter: Function, start: Function, review: Function, frames: () => Blob[]}} camera
     * @param {boolean} reviewed whether the person looks at the pictures before they are sent
     */
    constructor(t, panel, form, reviewed, camera) {
        this.#t = t;
        this.#panel = panel;
        this.#form = form;
        this.#reviewed = reviewed;
        this.#camera = camera;
    }

    answered(answer) {
        const acts = {
            ok: () => this.#done(answer.location),
            quality: () => this.#unfit(answer),
            form: () => this.#refill(answer),
            wait: () => this.#wait(answer),
            nonce: () => this.#renew(answer),
            expired: () => this.#ended(answer, 'warning', 'expired', 'camera.reload'),
            refused: () => this.#ended(answer, 'warning'),
            not_live: () => this.#ended(answer, 'warning'),
        };
        (acts[answer.kind] ?? (() => this.#ended(answer, 'error')))();
    }

    /** A sentence, and the camera begins anew by itself, a few times. @returns {boolean} whether it will */
    again(sentence) {
        if (this.#reviewed || this.#retries >= AUTO_RETRIES || document.visibilityState !== 'visible') {
            return false;
        }
        this.#retries++;
        const signal = this.#camera.enter('waiting', 'camera.capture', true);
        this.#panel.result(sentence, 'warning', { focus: false, ways: false });
        setTimeout(() => !signal.aborted && this.#camera.start(), AUTO_RETRY_MS);
        return true;
    }

    #done(address) {
        this.#camera.stop('done', 'camera.capture', true);
        this.#panel.advise(this.#t('camera.done'));
        location.assign(address);
    }

    /** The reasons stand beside the pictures; at a login the next burst follows by itself. */
    #unfit(answer) {
        const said = this.#said(answer);
        if (!this.again(this.#t('camera.auto_retry', { reason: said }))) {
            this.#camera.stop('result', 'camera.retry');
            this.#panel.result(said, 'warning');
        }
        this.#panel.frames(this.#camera.frames(), answer.frames, true);
    }

    /** It took too long, which nobody is to blame for: once, the page begins anew without a word. */
    #renew(answer) {
        if (this.#renewed || this.#reviewed) {
            this.#ended(answer, 'error');
        } else {
            this.#renewed = true;
            this.#camera.start();
        }
    }

    /** The pictures were not at fault: they stay, and the fields are corrected. */
    #refill(answer) {
        if (!this.#reviewed) {
            this.#ended(answer, 'warning');
        } else {
            this.#camera.review();
            this.#panel.result(this.#said(answer), 'error', { ways: false });
        }
        this.#form.mark(answer.fields);
    }

    #wait(answer) {
        const signal = this.#camera.stop('locked', 'camera.retry', true);
        const over = performance.now() + answer.retryAfterS * 1000;
        const told = () => {
            const seconds = Math.ceil((over - performance.now()) / 1000);
            return seconds > 120
                ? this.#t('camera.answer.wait_minutes', { minutes: Math.ceil(seconds / 60) })
                : this.#t('camera.answer.wait', { seconds: Math.max(0, seconds) });
        };
        this.#panel.frames([]);
        this.#panel.result(told(), 'warning');
        const timer = setInterval(() => {
            if (signal.aborted) {
                clearInterval(timer);
            } else if (performance.now() < over) {
                this.#panel.amend(told());
            } else {
                clearInterval(timer);
                this.#camera.enter('result', 'camera.retry');
                this.#panel.result(this.#t('camera.answer.wait_over'), 'success', { focus: false });
            }
        }, 1000);
    }

    #ended(answer, kind, state = 'result', button = 'camera.retry') {
        this.#camera.stop(state, button);
        this.#panel.frames([]);
        this.#panel.result(this.#said(answer), kind);
    }

    #said(answer) {
        return answer.message || this.#t(`camera.answer.${answer.kind}`);
    }
}

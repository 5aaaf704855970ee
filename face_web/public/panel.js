/**
 * What the camera's section of the page shows: advice, buttons, pictures, results. Owns these elements and writes text only,
 * never HTML. Knows no camera, no server and no rule of what happens next.
 */

import { Speech } from './speech.js';

/** Width to height of the stage at its narrowest. */
const UPRIGHT = 3 / 4;

export class Panel {
    #section;
    #t;
    #speech;
    #addresses = [];

    constructor(section, t) {
        this.#section = section;
        this.#t = t;
        this.#speech = new Speech(this.#part('spoken'));
        this.#part('live').hidden = false;
    }

    get video() {
        return this.#section.querySelector('video');
    }

    get devices() {
        return this.#part('devices');
    }

    get main() {
        return this.#part('capture');
    }

    get again() {
        return this.#part('again');
    }

    get upload() {
        return this.#section.querySelector('[data-photos]');
    }

    /** The state, for the style sheet; and what the main button does in it. A button that is busy keeps the focus. */
    state(name, button, busy = false) {
        this.#section.dataset.state = name;
        this.main.textContent = this.#t(button);
        this.main.setAttribute('aria-disabled', String(busy));
        this.again.hidden = name !== 'review';
        this.green(false);
    }

    green(on) {
        this.#section.dataset.green = String(on);
    }

    /** One sentence, seen at once, and heard when its turn comes or, where somebody waits for it, at once. */
    advise(sentence, atOnce = false) {
        const shown = this.#part('words');
        if (atOnce || shown.textContent !== sentence) {
            shown.textContent = sentence;
            this.#speech.say(sentence, atOnce);
        }
    }

    /** A few words below the advice, which stays; none: nothing. */
    hint(sentence) {
        const shown = this.#part('hint');
        if (shown.textContent !== sentence) {
            shown.textContent = sentence;
            if (sentence !== '') {
                this.#speech.say(sentence);
            }
        }
    }

    step(number, count) {
        const shown = this.#part('step');
        shown.hidden = count < 2;
        shown.textContent = this.#t('camera.step', { number, count });
    }

    /** The stage has the camera's shape; of a phone's, held upright, what is above and below may be out of sight. */
    shape() {
        const { videoWidth, videoHeight } = this.video;
        this.#part('stage').style.setProperty('--shape', Math.max(videoWidth / videoHeight, UPRIGHT));
    }

    /** Brings the picture before the eyes of whoever is not typing and has no error to read. The focus stays where it is. */
    show() {
        const typing = document.activeElement?.matches('input:not([type="checkbox"]), textarea');
        if (!typing && document.querySelector('.error-summary') === null) {
            const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
            this.#part('stage').scrollIntoView({ block: 'nearest', behavior: still ? 'instant' : 'smooth' });
        }
    }

    /** Pictures of the camera are shown as in a mirror, as the preview is; chosen photographs are not. */
    mirror(on) {
        this.#section.dataset.mirrored = String(on);
    }

    cameras(list) {
        const options = list.map(({ id, name, current }, i) => {
            const option = document.createElement('option');
            option.value = id;
            option.textContent = name || this.#t('camera.device_unnamed', { number: i + 1 });
            option.selected = current;
            return option;
        });
        this.devices.replaceChildren(...options);
        this.#part('choice').hidden = list.length < 2;
    }

    /** The pictures, each with the reason against it. */
    frames(blobs, reasons = [], judged = false) {
        this.#addresses.forEach((address) => URL.revokeObjectURL(address));
        this.#addresses = blobs.map((blob) => URL.createObjectURL(blob));
        this.#part('frames').replaceChildren(...this.#addresses.map((address, i) => this.#frame(address, i, reasons[i] ?? null, judged)));
        this.#part('frames').hidden = blobs.length === 0;
    }

    #frame(address, i, reason, judged) {
        const item = document.createElement('li');
        const picture = document.createElement('img');
        picture.src = address;
        picture.alt = this.#t('camera.frame', { number: i + 1 });
        item.append(picture);
        if (judged) {
            const said = document.createElement('p');
            said.textContent = reason === null ? this.#t('camera.frame_good') : this.#reason(reason);
            item.className = reason === null ? 'good' : 'bad';
            item.append(said);
        }
        return item;
    }

    #reason(code) {
        const key = `camera.reason.${code}`;
        const text = this.#t(key);
        return text === key ? this.#t('camera.reason.other') : text;
    }

    /** Shows how it ended and, where the person must act, goes there: a screen reader then reads it. */
    result(sentence, kind, { focus = true, ways = true } = {}) {
        const box = this.#part('result');
        this.#speech.hush();
        this.#part('words').textContent = '';
        this.#part('hint').textContent = '';
        box.className = `result notice ${kind}`;
        this.#part('message').textContent = sentence;
        this.#section.querySelectorAll('[data-ways]').forEach((list) => { list.hidden = !ways; });
        box.hidden = false;
        // Whoever is typing (a password, say) is told, and not torn away.
        if (focus && !document.activeElement?.matches('input, textarea, select')) {
            box.focus();
        } else {
            this.#speech.say(sentence);
        }
    }

    /** Another sentence in the result that is shown, without a word to be heard. */
    amend(sentence) {
        this.#part('message').textContent = sentence;
    }

    noResult() {
        this.#part('result').hidden = true;
    }

    #part(name) {
        return this.#section.querySelector(`[data-${name}]`);
    }
}

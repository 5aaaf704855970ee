/**
 * The camera of a page: which state it is in and what leads to the next. Wires the parts together: webcam, detector, guide,
 * burst, site, panel. The contract with the page is templates/camera.php; the texts are the page's own.
 *
 *   idle -> starting -> looking -> capturing -> (next pose: looking) -> review -> sending -> result -> starting ...
 *                          login leaves review out; a hidden page or nobody for a while: paused
 */

import { Frozen, takeBurst, takeFile } from './capture.js';
import { Detector, inBrowser, inDaemon } from './detectors.js';
import { Guide } from './guidance.js';
import { Panel } from './panel.js';
import { Site } from './site.js';
import { textsOf } from './texts.js';
import { CameraProblem, Webcam, remember } from './webcam.js';

/** What one enrolment takes (max_images of the daemon). */
const MOST_FRAMES = 10;

/** Bad pictures are taken again by themselves so often, after so long that the reason can be read. */
const AUTO_RETRIES = 3;
const AUTO_RETRY_MS = 2500;

/** A camera that nobody uses is switched off. */
const IDLE_MS = 120_000;

/** While nobody knows where the face is, the advice is looked after this often. */
const BLIND_MS = 500;

class Camera {
    #t;
    #panel;
    #webcam;
    #site;
    #detector;
    #form;
    #purpose;
    #poses;
    #perPose;
    #reviewed;
    #state = 'idle';
    #frames = [];
    #step = 0;
    #retries = 0;
    /** What runs now; aborted by whatever comes next. */
    #run = new AbortController();

    constructor(section, t) {
        const { purpose, action, csrf, form, detector, poses, frames } = section.dataset;
        this.#t = t;
        this.#purpose = purpose;
        this.#panel = new Panel(section, t);
        this.#webcam = new Webcam(this.#panel.video);
        this.#site = new Site({ purpose, action, csrf });
        this.#detector = new Detector([() => inBrowser(detector), () => inDaemon((jpeg) => this.#site.detect(jpeg))]);
        this.#form = form ? document.querySelector(form) : null;
        this.#poses = poses ? poses.split(',') : ['straight'];
        this.#reviewed = Boolean(poses);
        this.#perPose = Math.max(1, Math.min(Number(frames) || 1, Math.floor(MOST_FRAMES / this.#poses.length)));
        this.#listen();
        this.#begin();
    }

    #listen() {
        this.#panel.main.addEventListener('click', () => this.#pressed());
        this.#panel.again.addEventListener('click', () => this.#start());
        this.#panel.devices.addEventListener('change', () => this.#choose());
        this.#panel.upload?.addEventListener('change', () => this.#upload());
        this.#form?.addEventListener('submit', (event) => {
            event.preventDefault();
            this.#pressed();
        });
        this.#consent?.addEventListener('change', () => this.#begin());
        document.addEventListener('visibilitychange', () => this.#seen(document.visibilityState === 'visible'));
        window.addEventListener('pagehide', () => this.#seen(false));
        window.addEventListener('pageshow', (event) => event.persisted && this.#seen(true));
    }

    get #consent() {
        const control = this.#form?.elements.namedItem('consent');
        return control instanceof HTMLInputElement && control.type === 'checkbox' ? control : null;
    }

    /** Nothing of a face is looked at before its owner agreed. */
    #begin() {
        const agreed = this.#consent?.checked ?? true;
        if (this.#panel.upload) {
            this.#panel.upload.disabled = !agreed;
        }
        if (agreed) {
            this.#start();
        } else {
            this.#stop('idle', 'camera.start');
            this.#frames = [];
            this.#panel.frames([]);
            this.#panel.noResult();
            this.#panel.advise(this.#t('camera.consent_first'));
        }
    }

    /** The main button, whatever it says at the moment. */
    #pressed() {
        const acts = {
            idle: () => (this.#consent && !this.#consent.checked ? this.#consent.focus() : this.#start()),
            paused: () => this.#start(),
            looking: () => this.#capture(true),
            review: () => this.#send(),
            result: () => this.#start(),
            expired: () => location.reload(),
        };
        acts[this.#state]?.();
    }

    #enter(state, button, busy = false) {
        this.#run.abort();
        this.#run = new AbortController();
        this.#state = state;
        this.#panel.state(state, button, busy);
        return this.#run.signal;
    }

    #stop(state, button, busy = false) {
        this.#webcam.close();
        return this.#enter(state, button, busy);
    }

    async #start(device) {
        const signal = this.#enter('starting', 'camera.capture', true);
        this.#frames = [];
        this.#step = 0;
        this.#panel.noResult();
        this.#panel.frames([]);
        this.#panel.advise(this.#t('camera.starting'));
        this.#panel.show();
        this.#detector.prepare();
        try {
            await this.#webcam.open(() => this.#failed('lost'), device);
            if (signal.aborted) {
                return;
            }
            this.#panel.shape();
            this.#panel.show();
            this.#panel.mirror(true);
            this.#panel.cameras(await this.#webcam.list());
        } catch (error) {
            if (!signal.aborted) {
                this.#failed(CameraProblem.of(error).problem);
            }
            return;
        }
        if (!signal.aborted) {
            this.#look();
        }
    }

    #choose() {
        remember(this.#panel.devices.value);
        if (this.#state !== 'capturing' && this.#state !== 'sending') {
            this.#start(this.#panel.devices.value);
        }
    }

    /** Measures and advises until the picture can be taken. */
    async #look() {
        const signal = this.#enter('looking', 'camera.capture');
        const pose = this.#poses[this.#step];
        const guide = new Guide(pose);
        const until = performance.now() + IDLE_MS;
        this.#panel.step(this.#step + 1, this.#poses.length);
        this.#panel.advise(this.#t(this.#step > 0 ? `camera.pose.${pose}` : 'camera.loading'));
        while (performance.now() < until) {
            const measured = await this.#detector.measure(this.#panel.video);
            if (signal.aborted) {
                return;
            }
            if (measured === null) {
                this.#panel.advise(this.#t('camera.advice.by_hand'));
                await new Promise((resolve) => setTimeout(resolve, BLIND_MS));
            } else if (this.#heed(guide.update(measured, performance.now()))) {
                return;
            }
            if (signal.aborted) {
                return;
            }
        }
        this.#stop('paused', 'camera.start');
        this.#panel.advise(this.#t('camera.paused'));
    }

    /** @returns {boolean} whether the picture is being taken */
    #heed({ advice, green, ready }) {
        this.#panel.green(green);
        if (ready && !this.#reviewed && !this.#filled()) {
            this.#panel.advise(this.#t('camera.form_first'));
            return false;
        }
        this.#panel.advise(this.#t(`camera.advice.${advice}`));
        if (ready) {
            this.#capture(false);
        }
        return ready;
    }

    #filled() {
        return this.#form === null || this.#form.matches(':valid');
    }

    async #capture(byHand) {
        if (byHand && !this.#reviewed && !(this.#form?.reportValidity() ?? true)) {
            return;
        }
        const signal = this.#enter('capturing', 'camera.capture', true);
        this.#panel.advise(this.#t('camera.capturing'));
        if (this.#step === 0) {
            this.#site.begin();
        }
        try {
            this.#frames.push(...(await takeBurst(this.#panel.video, this.#perPose, signal)));
        } catch (error) {
            if (!signal.aborted) {
                this.#failed(error instanceof Frozen ? 'frozen' : 'other');
            }
            return;
        }
        if (!signal.aborted) {
            this.#taken();
        }
    }

    #taken() {
        this.#panel.frames(this.#frames);
        this.#step++;
        if (this.#step < this.#poses.length) {
            this.#look();
        } else if (this.#reviewed) {
            this.#review();
        } else {
            this.#send();
        }
    }

    #review() {
        const own = `camera.send_${this.#purpose}`;
        this.#stop('review', this.#t(own) === own ? 'camera.send' : own);
        this.#panel.step(0, 0);
        this.#panel.result(this.#t('camera.steps_done'), 'success', { focus: false, ways: false });
        this.#panel.main.focus();
    }

    async #upload() {
        const files = [...this.#panel.upload.files];
        if (files.length === 0) {
            return;
        }
        const signal = this.#stop('reading', 'camera.start', true);
        if (files.length > MOST_FRAMES) {
            this.#end('camera.error.upload_many', { max: MOST_FRAMES });
            return;
        }
        const frames = [];
        for (const file of files) {
            try {
                frames.push(await takeFile(file));
            } catch {
                this.#end('camera.error.upload_unreadable', { name: file.name });
                return;
            }
        }
        if (!signal.aborted) {
            this.#frames = frames;
            this.#panel.mirror(false);
            this.#panel.frames(frames);
            this.#review();
        }
    }

    async #send() {
        if (!(this.#form?.reportValidity() ?? true)) {
            return;
        }
        this.#panel.noFields(this.#form);
        this.#enter('sending', 'camera.capture', true);
        this.#panel.noResult();
        this.#panel.advise(this.#t('camera.sending'));
        this.#answered(await this.#site.send(this.#frames, this.#fields()));
    }

    /** The form's own fields; its CSRF token goes as a header. */
    #fields() {
        const fields = this.#form === null ? new FormData() : new FormData(this.#form);
        fields.delete('_csrf');
        return fields;
    }

    #answered(answer) {
        const acts = {
            ok: () => this.#done(answer.location),
            quality: () => this.#unfit(answer),
            form: () => this.#refill(answer),
            wait: () => this.#wait(answer),
            expired: () => this.#ended(answer, 'warning', 'expired', 'camera.reload'),
            refused: () => this.#ended(answer, 'warning'),
        };
        (acts[answer.kind] ?? (() => this.#ended(answer, 'error')))();
    }

    #done(address) {
        this.#stop('done', 'camera.capture', true);
        this.#panel.advise(this.#t('camera.done'));
        location.assign(address);
    }

    /** The reasons stand beside the pictures; at a login the next burst follows by itself, a few times. */
    #unfit(answer) {
        const said = this.#said(answer);
        if (this.#reviewed || this.#retries >= AUTO_RETRIES || document.visibilityState !== 'visible') {
            this.#stop('result', 'camera.retry');
            this.#panel.frames(this.#frames, answer.frames, true);
            this.#panel.result(said, 'warning');
            return;
        }
        this.#retries++;
        const signal = this.#enter('waiting', 'camera.capture', true);
        this.#panel.frames(this.#frames, answer.frames, true);
        this.#panel.result(this.#t('camera.auto_retry', { reason: said }), 'warning', { focus: false, ways: false });
        setTimeout(() => !signal.aborted && this.#start(), AUTO_RETRY_MS);
    }

    /** The pictures were not at fault: they stay, and the fields are corrected. */
    #refill(answer) {
        if (!this.#reviewed) {
            this.#ended(answer, 'warning');
        } else {
            this.#review();
            this.#panel.result(this.#said(answer), 'error', { ways: false });
        }
        this.#panel.fields(this.#form, answer.fields);
    }

    #wait(answer) {
        const signal = this.#stop('locked', 'camera.retry', true);
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
                this.#enter('result', 'camera.retry');
                this.#panel.result(this.#t('camera.answer.wait_over'), 'success', { focus: false });
            }
        }, 1000);
    }

    #ended(answer, kind, state = 'result', button = 'camera.retry') {
        this.#stop(state, button);
        this.#panel.frames([]);
        this.#panel.result(this.#said(answer), kind);
    }

    #said(answer) {
        return answer.message || this.#t(`camera.answer.${answer.kind}`);
    }

    #failed(problem) {
        this.#end(`camera.error.${problem}`);
    }

    #end(key, values = {}) {
        this.#stop('result', 'camera.retry');
        this.#panel.result(this.#t(key, values), 'error');
    }

    /** A page that nobody sees has no camera. */
    #seen(visible) {
        if (visible && this.#state === 'hidden') {
            this.#start();
        } else if (!visible && ['starting', 'looking', 'capturing', 'waiting'].includes(this.#state) && this.#live) {
            this.#stop('hidden', 'camera.start');
            this.#panel.advise(this.#t('camera.paused'));
        }
    }

    get #live() {
        return this.#state === 'starting' || this.#panel.video.srcObject !== null;
    }
}

const texts = textsOf(document.getElementById('texts')?.textContent ?? '{}');
document.querySelectorAll('[data-camera]').forEach((section) => new Camera(section, texts));

/**
 * The camera of a page: which state it is in and what leads to the next. Wires the parts together: webcam, detector, guide,
 * burst, steps, site, panel, ending. The contract with the page is templates/camera.php; the texts are the page's own.
 *
 *   idle -> starting -> looking -> capturing -> (next pose: looking) -> review -> sending -> result -> starting ...
 *              a login leaves review out and, where it is asked to, goes through following: the steps of a challenge;
 *              a hidden page or nobody for a while: paused
 */

import { Attempt } from './attempt.js';
import { Frozen, takeFile } from './capture.js';
import { Detector, inBrowser, inDaemon } from './detectors.js';
import { Ending } from './ending.js';
import { TooSlow } from './follow.js';
import { Form } from './form.js';
import { Guide } from './guidance.js';
import { Panel } from './panel.js';
import { Site, StepRefused } from './site.js';
import { Steps } from './steps.js';
import { textsOf } from './texts.js';
import { CameraProblem, Webcam } from './webcam.js';

/** What one enrolment takes (max_images of the daemon). */
const MOST_FRAMES = 10;

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
    #steps;
    #ending;
    #purpose;
    #poses;
    #perPose;
    #reviewed;
    #state = 'idle';
    #attempt = new Attempt();
    /** Of the poses. */
    #step = 0;
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
        this.#form = new Form(form ? document.querySelector(form) : null);
        this.#steps = new Steps(section, t, this.#panel);
        this.#poses = poses ? poses.split(',') : ['straight'];
        this.#reviewed = Boolean(poses);
        this.#perPose = Math.max(1, Math.min(Number(frames) || 1, Math.floor(MOST_FRAMES / this.#poses.length)));
        this.#ending = new Ending(t, this.#panel, this.#form, this.#reviewed, {
            enter: (...how) => this.#enter(...how),
            stop: (...how) => this.#stop(...how),
            start: () => this.#start(),
            review: () => this.#review(),
            frames: () => this.#attempt.frames,
        });
        this.#listen();
        this.#begin();
    }

    #listen() {
        this.#panel.main.addEventListener('click', () => this.#pressed());
        this.#panel.again.addEventListener('click', () => this.#start());
        this.#panel.devices.addEventListener('change', () => this.#choose());
        this.#panel.upload?.addEventListener('change', () => this.#upload());
        this.#form.listen(() => this.#pressed(), () => this.#begin());
        document.addEventListener('visibilitychange', () => this.#seen(document.visibilityState === 'visible'));
        window.addEventListener('pagehide', () => this.#seen(false));
        window.addEventListener('pageshow', (event) => event.persisted && this.#seen(true));
    }

    /** Nothing of a face is looked at before its owner agreed. */
    #begin() {
        if (this.#panel.upload) {
            this.#panel.upload.disabled = !this.#form.agreed;
        }
        if (this.#form.agreed) {
            this.#start();
        } else {
            this.#stop('idle', 'camera.start');
            this.#attempt = new Attempt();
            this.#panel.frames([]);
            this.#panel.noResult();
            this.#panel.advise(this.#t('camera.consent_first'));
        }
    }

    /** The main button, whatever it says at the moment. */
    #pressed() {
        const acts = {
            idle: () => (this.#form.agreed ? this.#start() : this.#form.askForConsent()),
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
        this.#steps.end();
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
        this.#attempt = new Attempt();
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
        this.#webcam.prefer(this.#panel.devices.value);
        if (!['capturing', 'following', 'sending'].includes(this.#state)) {
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
            } else if (this.#heed(guide.update(measured, performance.now()), measured)) {
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
    #heed({ advice, green, ready }, measured) {
        this.#panel.green(green);
        this.#attempt.look(measured, green);
        if (ready && !this.#reviewed && !this.#form.filled) {
            this.#panel.advise(this.#t('camera.form_first'));
            return false;
        }
        this.#panel.advise(this.#t(`camera.advice.${advice}`));
        if (ready) {
            this.#capture(false);
        }
        return ready;
    }

    async #capture(byHand) {
        if (byHand && !this.#reviewed && !this.#form.complete()) {
            return;
        }
        const signal = this.#enter('capturing', 'camera.capture', true);
        this.#panel.advise(this.#t('camera.capturing'));
        if (this.#step === 0) {
            this.#site.begin(this.#steps.flashes);
        }
        try {
            const challenge = this.#reviewed ? null : await this.#site.challenge();
            signal.throwIfAborted();
            if (challenge === null) {
                await this.#attempt.burst(this.#panel.video, this.#perPose, signal);
            } else {
                const means = {
                    measure: () => this.#detector.measure(this.#panel.video, true),
                    show: this.#steps,
                    tell: (number, frames) => this.#site.tell(number, frames),
                };
                await this.#attempt.answer(challenge, this.#panel.video, means, () => this.#followed(challenge), signal);
            }
            signal.throwIfAborted();
        } catch (error) {
            if (!signal.aborted) {
                this.#missed(error);
            }
            return;
        }
        this.#taken();
    }

    /** From now on the person follows, in the same run. */
    #followed(challenge) {
        this.#state = 'following';
        this.#panel.state('following', 'camera.capture', true);
        this.#steps.begin(challenge.steps.length);
    }

    #missed(error) {
        if (error instanceof StepRefused) {
            this.#ending.answered(error.answer);
        } else if (!(error instanceof TooSlow)) {
            this.#failed(error instanceof Frozen ? 'frozen' : 'other');
        } else if (!this.#ending.again(this.#t('camera.liveness.too_slow'))) {
            this.#end('camera.answer.nonce');
        }
    }

    #taken() {
        this.#panel.frames(this.#attempt.numbers.length === 0 ? this.#attempt.frames : []);
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
            this.#attempt = new Attempt();
            this.#attempt.frames = frames;
            this.#panel.mirror(false);
            this.#panel.frames(frames);
            this.#review();
        }
    }

    async #send() {
        if (!this.#form.complete()) {
            return;
        }
        this.#form.unmark();
        this.#enter('sending', 'camera.capture', true);
        this.#panel.noResult();
        this.#panel.advise(this.#t('camera.sending'));
        this.#ending.answered(await this.#site.send(this.#attempt.frames, this.#form.values(), this.#attempt.numbers));
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
        } else if (!visible && ['starting', 'looking', 'capturing', 'following', 'waiting'].includes(this.#state) && this.#live) {
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

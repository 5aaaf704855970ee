/** The camera: opening, closing, choosing, and what can be wrong with it. Knows no page beyond the video element it is given. */

import { recall, remember } from './memory.js';

/** The camera of the visit before. */
const REMEMBERED = 'camera';

/** What an error's name means for the person; keys below camera.error. */
const PROBLEMS = {
    NotFoundError: 'none',
    DevicesNotFoundError: 'none',
    OverconstrainedError: 'none',
    NotAllowedError: 'denied',
    PermissionDeniedError: 'denied',
    SecurityError: 'denied',
    NotReadableError: 'in_use',
    TrackStartError: 'in_use',
    AbortError: 'in_use',
};

/** Why the camera cannot be had; `problem` is a key below camera.error. */
export class CameraProblem extends Error {
    constructor(problem, cause) {
        super(problem, { cause });
        this.problem = problem;
    }

    static of(error) {
        return error instanceof CameraProblem ? error : new CameraProblem(PROBLEMS[error?.name] ?? 'other', error);
    }
}

export class Webcam {
    #video;
    #stream = null;
    #lost = () => {};

    constructor(video) {
        this.#video = video;
    }

    /** Opens the chosen, the remembered or the front camera. Rejects with CameraProblem. `lost`: called when it is pulled out. */
    async open(lost, chosen = recall(REMEMBERED)) {
        this.close();
        if (!navigator.mediaDevices?.getUserMedia) {
            throw new CameraProblem(window.isSecureContext ? 'unsupported' : 'insecure');
        }
        this.#lost = lost;
        try {
            this.#stream = await this.#request(chosen);
            this.#video.srcObject = this.#stream;
            await this.#video.play();
        } catch (error) {
            this.close();
            throw CameraProblem.of(error);
        }
        this.#stream.getVideoTracks()[0].addEventListener('ended', () => this.#lost());
    }

    /** Remembers a camera for the next visit. */
    prefer(id) {
        remember(REMEMBERED, id);
    }

    /** Puts the camera's light out. */
    close() {
        this.#lost = () => {};
        this.#stream?.getTracks().forEach((track) => track.stop());
        this.#stream = null;
        this.#video.srcObject = null;
    }

    /** The cameras there are, as {id, name, current}; names are empty until one was allowed. */
    async list() {
        const current = this.#stream?.getVideoTracks()[0]?.getSettings().deviceId;
        const devices = await navigator.mediaDevices.enumerateDevices();
        return devices
            .filter((device) => device.kind === 'videoinput')
            .map((device) => ({ id: device.deviceId, name: device.label, current: device.deviceId === current }));
    }

    async #request(chosen) {
        const size = { width: { ideal: 1280 }, height: { ideal: 720 } };
        if (chosen) {
            try {
                return await navigator.mediaDevices.getUserMedia({ video: { ...size, deviceId: { exact: chosen } }, audio: false });
            } catch (error) {
                if (PROBLEMS[error?.name] !== 'none') {
                    throw error;
                }
                remember(REMEMBERED, ''); // unplugged since: any other will do
            }
        }
        return navigator.mediaDevices.getUserMedia({ video: { ...size, facingMode: 'user' }, audio: false });
    }
}

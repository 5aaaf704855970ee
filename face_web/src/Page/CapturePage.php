<?php

/**
 * What the camera's script asks before there is a burst: a nonce, with what a living person is to do for a login; then,
 * that a step of it is done; and where a face is when the browser cannot find it itself. None tells who that is.
 */

declare(strict_types=1);

namespace FaceWeb\Page;

use FaceWeb\FaceServer\Face;
use FaceWeb\FaceServer\LivenessChallenge;
use FaceWeb\FaceServer\LivenessStep;
use FaceWeb\FaceServer\Refused;
use FaceWeb\FaceServer\Unreachable;
use FaceWeb\Http\Frames;
use FaceWeb\Http\HttpError;
use FaceWeb\Http\Response;
use FaceWeb\Login;
use FaceWeb\OutcomeKind;
use FaceWeb\Security\Nonces;
use FaceWeb\Services;
use FaceWeb\Visit;

final class CapturePage
{
    /** A picture of 320 x 240 has a tenth of it. */
    private const MAX_DETECT_BYTES = 256 * 1024;

    public function __construct(private readonly Services $services)
    {
    }

    public function begin(Visit $visit): Response
    {
        $purpose = $visit->request->data()['purpose'] ?? null;
        if (!is_string($purpose) || !in_array($purpose, Burst::PURPOSES, true)) {
            throw HttpError::badRequest('no such purpose');
        }
        $challenged = $purpose === Burst::LOGIN && $this->services->liveness()->isOn();
        $wait = $challenged ? $this->services->throttle()->awaitChallenge($visit->source) : 0;
        if ($wait > 0) {
            $message = $visit->text('capture.wait', ['seconds' => $wait]);
            return Response::json(['ok' => false, 'code' => 'wait', 'message' => $message, 'retry_after_s' => $wait]);
        }
        $nonce = $this->services->nonces()->issue($visit->session->key(), $purpose);
        $flash = ($visit->request->data()['flash'] ?? false) === true;
        return Response::json([
            'nonce' => $nonce,
            'expires_s' => Nonces::LIFE_S,
            'frames' => $this->services->config->web->burstFrames,
        ] + ($challenged ? ['challenge' => $this->challenge($visit, $nonce, $flash)] : []));
    }

    /** A step is done: by its pictures' hashes the daemon knows them when they come. */
    public function step(Visit $visit): Response
    {
        $said = $visit->request->data();
        [$id, $step, $sha256s] = [$said['challenge'] ?? null, $said['step'] ?? null, $said['sha256s'] ?? null];
        if (!is_string($id) || !is_int($step) || !is_array($sha256s) || !array_is_list($sha256s)) {
            throw HttpError::badRequest('no step of a challenge');
        }
        if (array_filter($sha256s, self::isSha256(...)) !== $sha256s) {
            throw HttpError::badRequest('no hashes of pictures');
        }
        $burst = new Burst($this->services, $visit, Burst::LOGIN);
        $challenge = $this->services->liveness()->advanced($id, $step);
        if ($challenge === null) {
            return $burst->nonceGone();
        }
        if (count($sha256s) !== $challenge->framesPerStep) {
            throw HttpError::badRequest('not as many hashes as the step has pictures');
        }
        $visit->session->release();
        try {
            $this->services->liveness()->tell($challenge, $step, $sha256s);
            return Response::json(['ok' => true]);
        } catch (Refused | Unreachable $error) {
            $outcome = Login::withoutVerdict($error);
            if ($outcome->kind === OutcomeKind::Unavailable) {
                $this->services->throttle()->challengeDone($visit->source, $challenge->at);
            }
            return $burst->answer($outcome, '', $challenge);
        }
    }

    public function detect(Visit $visit): Response
    {
        if (!$this->services->throttle()->allowDetect($visit->session->key(), $visit->source)) {
            throw HttpError::tooMany(1);
        }
        $picture = $this->picture($visit);
        $visit->session->release();
        try {
            $found = $this->services->faceServer()->detect($picture);
        } catch (Refused $refused) {
            throw $refused->isForPerson() ? HttpError::badRequest($refused->errorCode) : $refused;
        }
        return Response::json([
            'width' => $found->width,
            'height' => $found->height,
            'faces' => array_map(
                static fn (Face $face): array => ['box' => $face->box, 'landmarks' => $face->landmarks],
                $found->faces,
            ),
        ]);
    }

    /** @return array<string, mixed> */
    private function challenge(Visit $visit, string $nonce, bool $flash): array
    {
        try {
            return self::told($this->services->liveness()->challenge($nonce, $flash));
        } catch (Refused | Unreachable $error) {
            $this->services->throttle()->challengeDone($visit->source, $this->services->clock->now());
            throw $error;
        }
    }

    /** @return array<string, mixed> */
    private static function told(LivenessChallenge $challenge): array
    {
        return [
            'id' => $challenge->id,
            'steps' => array_map(
                static fn (LivenessStep $step): array => array_filter([
                    'step' => $step->kind,
                    'colour' => $step->colour,
                ]),
                $challenge->steps,
            ),
            'frames_per_step' => $challenge->framesPerStep,
            'step_s' => $challenge->stepS,
            'expires_s' => min($challenge->expiresS, Nonces::LIFE_S),
        ];
    }

    private static function isSha256(mixed $value): bool
    {
        return is_string($value) && preg_match('/\A[0-9a-f]{64}\z/', $value) === 1;
    }

    /** The body itself, or the file of a form. */
    private function picture(Visit $visit): string
    {
        $files = [...$visit->request->uploadsOf('frame'), ...$visit->request->uploadsOf('frames')];
        if ($files !== [] && ($files[0]->tooLarge() || $files[0]->size > self::MAX_DETECT_BYTES)) {
            throw HttpError::tooLarge();
        }
        $picture = $files === [] ? $visit->request->body(self::MAX_DETECT_BYTES) : $files[0]->read();
        return Frames::isJpeg($picture, Frames::MAX_DETECT_PIXELS)
            ? $picture
            : throw HttpError::badRequest('no small JPEG');
    }
}

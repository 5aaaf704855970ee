<?php

/**
 * The common half of every request with pictures: sizes, the nonce, what they answer, frames that were sent before; and
 * the JSON that the camera's script understands. An answer that is not a yes brings a new nonce along, so that the
 * person may try again; a challenge, whose time is short, is asked for when the person begins.
 */

declare(strict_types=1);

namespace FaceWeb\Page;

use FaceWeb\Http\Frames;
use FaceWeb\Http\HttpError;
use FaceWeb\Http\Response;
use FaceWeb\OpenChallenge;
use FaceWeb\Outcome;
use FaceWeb\OutcomeKind;
use FaceWeb\Services;
use FaceWeb\Visit;

final class Burst
{
    public const LOGIN = 'login';
    public const REGISTER = 'register';
    public const CAPTURES = 'captures';
    public const PURPOSES = [self::LOGIN, self::REGISTER, self::CAPTURES];

    public function __construct(
        private readonly Services $services,
        private readonly Visit $visit,
        private readonly string $purpose,
    ) {
    }

    /** The challenge that a login answers, once; null where it is not this session's, or not this nonce's. */
    public function challenge(): ?OpenChallenge
    {
        $request = $this->visit->request;
        if ($request->field('challenge') === '' || $request->field('frame_steps') === '') {
            throw HttpError::badRequest('the pictures answer no challenge');
        }
        return $this->services->liveness()->taken($request->field('challenge'), $request->field('nonce'));
    }

    /** Of the camera alone: exactly one burst, or exactly what the challenge asks for. */
    public function frames(?OpenChallenge $challenge = null): Frames
    {
        if ($challenge !== null && !$challenge->fits($this->visit->request->field('frame_steps'))) {
            throw HttpError::badRequest('the pictures are of other steps than were asked for');
        }
        $burst = $challenge?->frames() ?? $this->services->config->web->burstFrames;
        return Frames::of($this->visit->request->uploadsOf('frames'), $burst, $burst, Frames::MAX_CAMERA_BYTES);
    }

    /** For an enrolment, which may be photo files where the operator lets it. */
    public function pictures(): Frames
    {
        $files = $this->services->config->web->uploadAccepted && $this->purpose === self::REGISTER;
        return Frames::of(
            $this->visit->request->uploadsOf('frames'),
            $files ? 1 : $this->services->config->web->burstFrames,
            $this->services->config->server->maxImages,
            $files ? Frames::MAX_FILE_BYTES : Frames::MAX_CAMERA_BYTES,
        );
    }

    public function hasNonce(): bool
    {
        $nonce = $this->visit->request->field('nonce');
        return preg_match('/\A[0-9a-f]{32}\z/', $nonce) === 1
            && $this->services->nonces()->consume($nonce, $this->visit->session->key(), $this->purpose);
    }

    /** Never sent before, by anybody; from now on they were. */
    public function isNew(Frames $frames): bool
    {
        return $this->services->seenFrames()->claim($frames->bytes);
    }

    public function nonceGone(): Response
    {
        return $this->no('nonce', 'capture.nonce');
    }

    public function unreadable(Frames $frames): Response
    {
        return $this->answer(Outcome::quality('image_unreadable', $frames->faults()), '');
    }

    public function answer(Outcome $outcome, string $location, ?OpenChallenge $challenge = null): Response
    {
        return match ($outcome->kind) {
            OutcomeKind::Done => Response::json(['ok' => true, 'location' => $location]),
            OutcomeKind::Refused => $this->no('refused', "capture.refused.$this->purpose"),
            OutcomeKind::Quality => $this->quality($outcome),
            OutcomeKind::NotLive => $this->notLive($outcome, $challenge),
            OutcomeKind::Late => $this->nonceGone(),
            OutcomeKind::Wait => $this->no(
                'wait',
                'capture.wait',
                ['retry_after_s' => $outcome->retryAfterS],
                ['seconds' => $outcome->retryAfterS],
            ),
            OutcomeKind::Form => $this->fields($outcome->fields),
            OutcomeKind::Unavailable => $this->no('unavailable', 'capture.unavailable', [], [
                'id' => $this->services->requestId(),
            ]),
        };
    }

    /** @param array<string, string> $fields */
    private function fields(array $fields): Response
    {
        $texts = [];
        foreach ($fields as $field => $reason) {
            $texts[$field] = $this->visit->text("field.$field.$reason");
        }
        $answer = ['fields' => $texts, 'message' => implode(' ', $texts)];
        return $this->no('form', 'capture.form', $answer);
    }

    /** What helps an honest person, and nothing that was measured. */
    private function notLive(Outcome $outcome, ?OpenChallenge $challenge): Response
    {
        $check = "capture.not_live.$outcome->code";
        $names = ["$check." . $challenge?->kind($outcome->step), $check, 'capture.not_live.other'];
        $known = array_filter($names, $this->visit->language->has(...));
        return $this->no('not_live', (string) reset($known), $outcome->step === null ? [] : ['step' => $outcome->step]);
    }

    private function quality(Outcome $outcome): Response
    {
        // Where the daemon did not say which picture is at fault, none of them is called good.
        $nowhere = array_filter($outcome->frames) === [];
        $frames = $nowhere ? array_map(static fn (): string => $outcome->code, $outcome->frames) : $outcome->frames;
        $codes = array_values(array_unique(array_filter([...$frames, $outcome->code])));
        $known = array_map(fn (string $code): string => $this->knownReason($code), $codes);
        return $this->no('quality', 'capture.quality', [
            'frames' => $frames,
            'advice' => array_map(fn (string $code): string => $this->visit->text("camera.reason.$code"), $known),
        ]);
    }

    private function knownReason(string $code): string
    {
        return $this->visit->language->has("camera.reason.$code") ? $code : 'other';
    }

    /**
     * Always 200: the page asked and was answered; a browser would report other statuses as errors of the page.
     *
     * @param array<string, mixed> $more
     * @param array<string, string|int> $values
     */
    private function no(string $code, string $key, array $more = [], array $values = []): Response
    {
        return Response::json($more + [
            'ok' => false,
            'code' => $code,
            'message' => $this->visit->text($key, $values),
            'nonce' => $this->services->nonces()->issue($this->visit->session->key(), $this->purpose),
        ]);
    }
}

<?php

/**
 * What a use-case came to. Only `done` is a yes. Knows no words: pages turn it into sentences.
 */

declare(strict_types=1);

namespace FaceWeb;

use FaceWeb\People\Person;

final class Outcome
{
    /**
     * @param list<?string> $frames per picture the code of what is wrong with it, or null
     * @param array<string, string> $fields per form field the reason
     * @param int|null $step of a challenge, in which it shows
     */
    private function __construct(
        public readonly OutcomeKind $kind,
        public readonly ?Person $person = null,
        public readonly string $code = '',
        public readonly array $frames = [],
        public readonly array $fields = [],
        public readonly int $retryAfterS = 0,
        public readonly ?int $step = null,
    ) {
    }

    public static function done(?Person $person = null): self
    {
        return new self(OutcomeKind::Done, $person);
    }

    public static function refused(): self
    {
        return new self(OutcomeKind::Refused);
    }

    /**
     * @param string $code what is wrong on the whole
     * @param list<?string> $frames
     */
    public static function quality(string $code, array $frames): self
    {
        return new self(OutcomeKind::Quality, code: $code, frames: $frames);
    }

    /** @param string $check of the daemon's, that failed */
    public static function notLive(string $check, ?int $step): self
    {
        return new self(OutcomeKind::NotLive, code: $check, step: $step);
    }

    public static function late(): self
    {
        return new self(OutcomeKind::Late);
    }

    public static function wait(int $seconds): self
    {
        return new self(OutcomeKind::Wait, retryAfterS: $seconds);
    }

    /** @param array<string, string> $fields */
    public static function form(array $fields): self
    {
        return new self(OutcomeKind::Form, fields: $fields);
    }

    public static function unavailable(): self
    {
        return new self(OutcomeKind::Unavailable);
    }

    /** Was it found out whether somebody may come in? Else it is as if nothing had been tried. */
    public function isDecided(): bool
    {
        return in_array($this->kind, [OutcomeKind::Done, OutcomeKind::Refused, OutcomeKind::NotLive], true);
    }

    public function isDone(): bool
    {
        return $this->kind === OutcomeKind::Done;
    }
}

<?php

/** A challenge that is being answered: how its pictures must be, and what was asked. */

declare(strict_types=1);

namespace FaceWeb;

use FaceWeb\FaceServer\LivenessAnswer;

final class OpenChallenge
{
    /**
     * @param list<string> $kinds of the steps, in their order
     * @param int $at when it was issued
     */
    public function __construct(
        public readonly LivenessAnswer $answer,
        private readonly array $kinds,
        public readonly int $framesPerStep,
        public readonly int $at,
    ) {
    }

    public function frames(): int
    {
        return count($this->answer->frameSteps);
    }

    /** Does the page say of its pictures what was asked of them? */
    public function fits(string $frameSteps): bool
    {
        return $frameSteps === implode(',', $this->answer->frameSteps);
    }

    /** What was asked in this step; '' where nothing was. */
    public function kind(?int $step): string
    {
        return $step === null ? '' : $this->kinds[$step - 1] ?? '';
    }
}

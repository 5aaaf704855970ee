<?php

/** How the images of an `identify` or `verify` answer a challenge. */

declare(strict_types=1);

namespace FaceWeb\FaceServer;

final class LivenessAnswer
{
    /**
     * @param string $challenge its id
     * @param string $binding exactly what the challenge was tied to
     * @param list<int> $frameSteps per image the step it was taken in, 0 for straight ahead
     */
    public function __construct(
        public readonly string $challenge,
        public readonly string $binding,
        public readonly array $frameSteps,
    ) {
    }

    /** @return array<string, mixed> the keys of the request */
    public function fields(): array
    {
        return [
            'challenge' => $this->challenge,
            'binding' => $this->binding,
            'frame_steps' => $this->frameSteps,
        ];
    }
}

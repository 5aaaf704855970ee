<?php

/** What became of one image of an enrolment: a template, or a reason in a code and a sentence for the person. */

declare(strict_types=1);

namespace FaceWeb\FaceServer;

final class EnrolledImage
{
    private function __construct(
        public readonly bool $accepted,
        public readonly ?int $templateId,
        public readonly bool $duplicate,
        public readonly ?string $code,
        public readonly ?string $message,
    ) {
    }

    /** @param bool $duplicate whether this very image was enrolled before */
    public static function accepted(int $templateId, bool $duplicate = false): self
    {
        return new self(true, $templateId, $duplicate, null, null);
    }

    public static function refused(string $code, string $message): self
    {
        return new self(false, null, false, $code, $message);
    }
}

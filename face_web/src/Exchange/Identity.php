<?php

/**
 * What a site learns about who logged in, and nothing else. Knows no templates, scores or biometric ids.
 */

declare(strict_types=1);

namespace FaceWeb\Exchange;

final class Identity implements \JsonSerializable
{
    /** @param list<string> $amr RFC 8176 names */
    public function __construct(
        public readonly string $subject,
        public readonly string $email,
        public readonly array $amr,
        public readonly int $authTime,
    ) {
    }

    /** @return array{subject: string, email: string, amr: list<string>, auth_time: int} */
    public function jsonSerialize(): array
    {
        return [
            'subject' => $this->subject,
            'email' => $this->email,
            'amr' => $this->amr,
            'auth_time' => $this->authTime,
        ];
    }
}

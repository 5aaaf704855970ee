<?php

/** What a check of the audit log found. Notes are harmless or settled; one problem makes it not ok. */

declare(strict_types=1);

namespace FaceWeb\Audit;

final class AuditReport
{
    /**
     * @param list<string> $problems
     * @param list<string> $notes
     */
    public function __construct(
        public readonly bool $ok,
        public readonly int $lines,
        public readonly array $problems,
        public readonly array $notes = [],
    ) {
    }
}

<?php

/** One line of the audit log, and the text that its MAC covers. */

declare(strict_types=1);

namespace FaceWeb\Audit;

final class AuditLine
{
    /** @param string $detailJson exactly as it stands in the database: the MAC covers these bytes */
    public function __construct(
        public readonly int $line,
        public readonly int $at,
        public readonly string $event,
        public readonly ?int $userId,
        public readonly string $source,
        public readonly string $detailJson,
        public readonly string $mac = '',
    ) {
    }

    /** @param array<string, int|string|null> $row of the table `audit` */
    public static function fromRow(array $row): self
    {
        return new self(
            (int) $row['line'],
            (int) $row['at'],
            (string) $row['event'],
            $row['user_id'] === null ? null : (int) $row['user_id'],
            (string) $row['source'],
            (string) $row['detail'],
            (string) $row['mac'],
        );
    }

    /** @return array<string, mixed> */
    public function detail(): array
    {
        $detail = json_decode($this->detailJson, true);
        return is_array($detail) ? $detail : [];
    }

    /** A JSON list in a fixed order, so that no two lines have the same text. */
    public function canonical(string $formerMac): string
    {
        $parts = ['line', $formerMac, $this->line, $this->at, $this->event, $this->userId, $this->source];
        return json_encode([...$parts, $this->detailJson], JSON_THROW_ON_ERROR | JSON_INVALID_UTF8_SUBSTITUTE);
    }
}

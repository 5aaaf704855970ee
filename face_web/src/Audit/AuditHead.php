<?php

/**
 * Owns the head file: how many lines the audit log has and the MAC of the last one, kept outside the database and
 * sealed with the key, so that who can write the database alone cannot cut lines off its end.
 *
 * While lines are being written the file has two ends, `last` (committed) and `next`: the database has one of them.
 */

declare(strict_types=1);

namespace FaceWeb\Audit;

final class AuditHead
{
    public function __construct(
        public readonly AuditEnd $last,
        public readonly ?AuditEnd $next = null,
    ) {
    }

    /** null: there is no file, or none that this key sealed. */
    public static function read(string $path, string $key): ?self
    {
        $parts = json_decode((string) @file_get_contents($path), true);
        $last = is_array($parts) ? AuditEnd::fromJson($parts['last'] ?? null) : null;
        if ($last === null) {
            return null;
        }
        $head = new self($last, AuditEnd::fromJson($parts['next'] ?? null));
        return hash_equals($head->seal($key), (string) ($parts['seal'] ?? '')) ? $head : null;
    }

    /**
     * Whole or not at all; on the disk before it returns, if it must be.
     *
     * @throws AuditError
     */
    public function write(string $path, string $key, bool $durably): void
    {
        $parts = ['last' => $this->last, 'next' => $this->next, 'seal' => $this->seal($key)];
        $text = json_encode($parts, JSON_THROW_ON_ERROR) . "\n";
        $new = sprintf('%s.%d.new', $path, getmypid());
        $former = umask(0077);
        $file = @fopen($new, 'wb');
        umask($former);
        $written = $file !== false && fwrite($file, $text) === strlen($text) && fflush($file)
            && (!$durably || fsync($file)) && fclose($file) && @rename($new, $path);
        if (!$written) {
            throw AuditError::unwritable($path);
        }
    }

    /**
     * How the end of the log stands to this head. 'last' and 'next' are right; the others are not.
     *
     * @return string 'last' | 'next' | 'lines_missing' | 'head_behind' | 'last_line_changed'
     */
    public function relation(AuditEnd $end): string
    {
        return match (true) {
            $end->equals($this->last) => 'last',
            $this->next !== null && $end->equals($this->next) => 'next',
            $end->count < $this->last->count => 'lines_missing',
            $end->count > $this->last->count => 'head_behind',
            default => 'last_line_changed',
        };
    }

    private function seal(string $key): string
    {
        return hash_hmac('sha256', json_encode(['head', $this->last, $this->next], JSON_THROW_ON_ERROR), $key);
    }
}

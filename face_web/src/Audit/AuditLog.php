<?php

/**
 * Owns the audit log: who did what, in lines chained by HMAC-SHA256 with a key outside the database. It holds no image,
 * vector, score, password or nonce. An event that cannot be logged throws, and then what it tells of is not done.
 *
 * Order of an append, under one lock of the database: (1) the head file says "n, perhaps m"; (2) the lines up to m and
 * the rest of their transaction commit; (3) the head file says "m". A crash before (1) leaves n and n. Between (1) and
 * (2) it leaves "n, perhaps m" and n lines: right, and the next append logs 'audit_interrupted', since somebody who cut
 * off just those lines would leave the same. Between (2) and (3): "n, perhaps m" and m lines: right. When the database
 * is neither, the next append goes on, so that nobody can stop the site by it, but first logs 'audit_broken' with what
 * it found; verify() counts that as a problem until an operator logs 'audit_accepted'.
 *
 * What cannot be found: database and head file put back together to the same earlier time. Copy the head elsewhere.
 * One head file serves one database: several web machines need it on a disk that they share.
 */

declare(strict_types=1);

namespace FaceWeb\Audit;

use FaceWeb\Database;
use FaceWeb\Security\Clock;
use InvalidArgumentException;

final class AuditLog
{
    private const MAX_TEXT = 300;
    private const MAX_DETAIL = 4000;
    private const SECRETS = ['password', 'nonce', 'secret', 'token', 'vector', 'embedding', 'score', 'image', 'cookie',
        'csrf'];

    /** The end that this process announced and has not seen committed: a transaction rolled back is no crash. */
    private ?AuditEnd $announced = null;

    public function __construct(
        private readonly Database $database,
        private readonly Clock $clock,
        private readonly string $keyFile,
        private readonly string $headFile,
    ) {
    }

    /** At set-up: makes the key and the head of an empty log, if there is no key yet; whether it did. */
    public function prepare(): bool
    {
        return $this->locked(function (): bool {
            if (is_file($this->keyFile)) {
                return false;
            }
            if (is_file($this->headFile) || $this->lastRow() !== null) {
                throw AuditError::keyMissing($this->keyFile);
            }
            AuditKey::make($this->keyFile);
            $key = AuditKey::read($this->keyFile);
            (new AuditHead(AuditEnd::ofNothing($key)))->write($this->headFile, $key, true);
            return true;
        });
    }

    /**
     * One line; in the transaction of its caller, if there is one.
     *
     * @param array<string, int|bool|string|null|list<int|string>> $detail
     */
    public function append(string $event, ?int $userId, string $source, array $detail = []): void
    {
        if (preg_match('/^[a-z][a-z0-9_]{0,63}$/D', $event) !== 1) {
            throw new InvalidArgumentException("'$event' is no name of an event");
        }
        $detailJson = self::detailJson($detail);
        $this->locked(function () use ($event, $userId, $source, $detailJson): void {
            $this->prepare();
            $key = AuditKey::read($this->keyFile);
            $this->recordFault($key);
            $this->add($key, $event, $userId, $source, $detailJson);
        });
    }

    /** An operator has looked into what was broken: what the log records of it until now becomes a note. */
    public function accept(?int $userId, string $source): void
    {
        $this->append('audit_accepted', $userId, $source);
    }

    public function verify(): AuditReport
    {
        if (!is_file($this->keyFile)) {
            return $this->withoutKey();
        }
        try {
            $key = AuditKey::read($this->keyFile);
        } catch (AuditError $error) {
            return new AuditReport(false, 0, [$error->getMessage()]);
        }
        [$head, $end] = $this->locked(fn () => [AuditHead::read($this->headFile, $key), $this->end($key)]);
        return (new AuditCheck($this->database, $key))->run($head, is_file($this->headFile), $end);
    }

    /**
     * The newest first.
     *
     * @param int|null $before the last line of the page before
     * @return list<AuditLine>
     */
    public function recent(int $limit, ?int $before = null): array
    {
        return $this->lines('line < ?', [$before ?? PHP_INT_MAX], $limit);
    }

    /** @return list<AuditLine> the newest first */
    public function ofUser(int $userId, int $limit, ?string $event = null): array
    {
        return $event === null
            ? $this->lines('user_id = ?', [$userId], $limit)
            : $this->lines('user_id = ? AND event = ?', [$userId, $event], $limit);
    }

    /** Logs what is wrong at the end of the log before anything is written after it. */
    private function recordFault(string $key): void
    {
        $end = $this->end($key);
        $head = AuditHead::read($this->headFile, $key);
        $fault = $head === null ? 'head_missing' : $head->relation($end);
        if ($fault === 'next' || ($fault === 'last' && $this->isSettled($head))) {
            return;
        }
        $headLines = $head?->next?->count ?? $head?->last->count;
        $known = self::detailJson(['found' => $fault, 'lines' => $end->count, 'head_lines' => $headLines]);
        $event = $fault === 'last' ? 'audit_interrupted' : 'audit_broken';
        // The head keeps what is wrong until this line is committed: a crash here must not wipe out the trace.
        $this->add($key, $event, null, '', $known, $head?->last ?? new AuditEnd(-1, ''));
    }

    private function isSettled(AuditHead $head): bool
    {
        return $head->next === null || ($this->announced !== null && $head->next->equals($this->announced));
    }

    private function add(
        string $key,
        string $event,
        ?int $userId,
        string $source,
        string $detailJson,
        ?AuditEnd $base = null,
    ): void {
        $former = $this->end($key);
        $source = (string) preg_replace('/[^\x20-\x7e]/', '?', substr($source, 0, 64));
        $line = new AuditLine($former->count + 1, $this->clock->now(), $event, $userId, $source, $detailJson);
        $mac = hash_hmac('sha256', $line->canonical($former->mac), $key);
        $next = new AuditEnd($line->line, $mac);
        $this->announce($key, new AuditHead($base ?? $this->committed($key, $former), $next));
        $this->database->execute(
            'INSERT INTO audit (line, at, event, user_id, source, detail, mac) VALUES (?, ?, ?, ?, ?, ?, ?)',
            [$line->line, $line->at, $event, $userId, $source, $detailJson, $mac]
        );
        $this->database->afterCommit(fn () => $this->settle($key, $next));
    }

    /** The end that a roll-back would leave: of several lines in one transaction, the one before the first. */
    private function committed(string $key, AuditEnd $former): AuditEnd
    {
        $head = AuditHead::read($this->headFile, $key);
        $isOwn = $this->announced !== null && $former->equals($this->announced);
        return $isOwn && $head !== null && $head->relation($former) === 'next' ? $head->last : $former;
    }

    private function announce(string $key, AuditHead $head): void
    {
        $this->withHeadLocked(fn () => $head->write($this->headFile, $key, true));
        $this->announced = $head->next;
    }

    /** Not needed for the head to be right, so a failure is left for the next append to meet. */
    private function settle(string $key, AuditEnd $end): void
    {
        if ($this->announced === null || !$this->announced->equals($end)) {
            return; // a later line of the same transaction settles
        }
        $this->announced = null;
        try {
            $this->withHeadLocked(function () use ($key, $end): void {
                $next = AuditHead::read($this->headFile, $key)?->next;
                if ($next !== null && $next->equals($end)) { // else another process has gone on from here
                    (new AuditHead($end))->write($this->headFile, $key, false);
                }
            });
        } catch (AuditError) {
            return;
        }
    }

    private function withHeadLocked(callable $work): void
    {
        $former = umask(0077);
        $lock = @fopen($this->headFile . '.lock', 'cb');
        umask($former);
        if ($lock === false || !flock($lock, LOCK_EX)) {
            throw AuditError::unwritable($this->headFile);
        }
        try {
            $work();
        } finally {
            fclose($lock);
        }
    }

    private function end(string $key): AuditEnd
    {
        $row = $this->lastRow();
        return $row === null ? AuditEnd::ofNothing($key) : new AuditEnd((int) $row['line'], (string) $row['mac']);
    }

    /** @return array<string, int|string|null>|null */
    private function lastRow(): ?array
    {
        return $this->database->row('SELECT line, mac FROM audit ORDER BY line DESC LIMIT 1');
    }

    private function withoutKey(): AuditReport
    {
        $lines = (int) $this->database->row('SELECT COUNT(*) AS n FROM audit')['n'];
        if ($lines === 0 && !is_file($this->headFile)) {
            return new AuditReport(true, 0, [], ['the log has not been begun: there is no key yet']);
        }
        return new AuditReport(false, $lines, [AuditError::keyMissing($this->keyFile)->getMessage()]);
    }

    /** @return list<AuditLine> */
    private function lines(string $condition, array $values, int $limit): array
    {
        $rows = $this->database->rows(
            "SELECT * FROM audit WHERE $condition ORDER BY line DESC LIMIT " . max(1, min($limit, 500)),
            $values
        );
        return array_map(AuditLine::fromRow(...), $rows);
    }

    private function locked(callable $work): mixed
    {
        return $this->database->transaction(function () use ($work): mixed {
            $this->database->lock('lock_audit');
            return $work();
        });
    }

    /** @param array<string, mixed> $detail */
    private static function detailJson(array $detail): string
    {
        ksort($detail);
        $kept = [];
        foreach ($detail as $key => $value) {
            $isPlain = in_array(get_debug_type($value), ['int', 'bool', 'string', 'null'], true);
            if ((!$isPlain && !self::isList($value)) || in_array(strtolower((string) $key), self::SECRETS, true)) {
                throw AuditError::notDetail((string) $key); // a fraction would be a score
            }
            $kept[$key] = is_string($value) ? mb_substr(mb_scrub($value, 'UTF-8'), 0, self::MAX_TEXT, 'UTF-8') : $value;
        }
        $flags = JSON_THROW_ON_ERROR | JSON_UNESCAPED_SLASHES | JSON_INVALID_UTF8_SUBSTITUTE;
        $json = json_encode((object) $kept, $flags);
        return strlen($json) <= self::MAX_DETAIL ? $json : throw AuditError::notDetail('more than 4000 bytes');
    }

    private static function isList(mixed $value): bool
    {
        return is_array($value) && array_is_list($value)
            && array_filter($value, fn (mixed $item) => !is_int($item) && !is_string($item)) === [];
    }
}

<?php

/** Owns the check of an audit log: reads every line up to an end, follows the chain, compares with the head. */

declare(strict_types=1);

namespace FaceWeb\Audit;

use FaceWeb\Database;

final class AuditCheck
{
    private const PAGE = 1000;
    /** More of them help nobody to find the first. */
    private const MAX_TOLD = 50;

    /** @var list<string> */
    private array $problems = [];
    /** @var list<string> */
    private array $notes = [];
    /** @var list<string> what the log itself says was broken, not yet accepted */
    private array $recorded = [];
    private int $lines = 0;
    private int $unfit = 0;
    private int $expected = 1;

    public function __construct(private readonly Database $database, private readonly string $key)
    {
    }

    /** @param AuditHead|null $head null: the file is missing or its seal is wrong */
    public function run(?AuditHead $head, bool $headExists, AuditEnd $end): AuditReport
    {
        $this->followChain($end->count);
        $this->compare($head, $headExists, $end);
        $problems = [...$this->problems, ...$this->recorded];
        if ($this->lines > 0 && $this->unfit === $this->lines) {
            array_unshift($problems, 'no line fits the key: the key file is not the one the log was written with');
        }
        return new AuditReport($problems === [], $this->lines, $this->shortened($problems), $this->notes);
    }

    private function followChain(int $upTo): void
    {
        $formerMac = AuditEnd::ofNothing($this->key)->mac;
        $after = PHP_INT_MIN;
        do {
            $rows = $this->database->rows(
                'SELECT * FROM audit WHERE line > ? AND line <= ? ORDER BY line LIMIT ' . self::PAGE,
                [$after, $upTo]
            );
            foreach ($rows as $row) {
                $line = AuditLine::fromRow($row);
                $this->checkLine($line, $formerMac);
                [$formerMac, $after] = [$line->mac, $line->line];
            }
        } while ($rows !== []);
        if ($this->expected <= $upTo) {
            $this->problems[] = "lines {$this->expected} to $upTo are missing";
        }
    }

    private function checkLine(AuditLine $line, string $formerMac): void
    {
        $this->lines++;
        if ($line->line > $this->expected) {
            $missing = $line->line - 1;
            $this->problems[] = $missing === $this->expected
                ? "line $missing is missing"
                : "lines {$this->expected} to $missing are missing";
        } elseif ($line->line < $this->expected) {
            $this->problems[] = "line {$line->line} does not belong into the log";
        }
        $fits = hash_equals(hash_hmac('sha256', $line->canonical($formerMac), $this->key), $line->mac);
        if (!$fits) {
            $this->unfit++;
            $this->problems[] = $line->line === $this->expected
                ? "line {$line->line} was changed, moved or put in"
                : "line {$line->line} does not continue the line before it";
        }
        $this->expected = max($this->expected, $line->line + 1);
        $this->readEvent($line, $fits);
    }

    private function readEvent(AuditLine $line, bool $fits): void
    {
        $what = "line {$line->line} records, at {$line->at}: {$line->detailJson}";
        if ($line->event === 'audit_broken') {
            $this->recorded[] = "the log was found broken; $what";
        } elseif ($line->event === 'audit_interrupted') {
            $this->notes[] = "an append did not come to its end (a crash, or the line was cut off); $what";
        } elseif ($line->event === 'audit_accepted' && $fits) {
            $accepted = array_map(fn (string $text) => "accepted in line {$line->line}: $text", $this->recorded);
            [$this->notes, $this->recorded] = [[...$this->notes, ...$accepted], []];
        }
    }

    private function compare(?AuditHead $head, bool $headExists, AuditEnd $end): void
    {
        if ($head === null) {
            $this->problems[] = $headExists
                ? 'the head file was not sealed with this key: it was changed, or the key was'
                : 'the head file is missing: lines may have been cut off the end';
            return;
        }
        $behind = $end->count - $head->last->count;
        $relation = $head->relation($end);
        match ($relation) {
            'next' => null,
            'last' => $head->next === null ? null : $this->notes[] = 'an append is not in the log: it was rolled back, '
                . "or a crash came between, or what came after line {$end->count} was cut off just then",
            'lines_missing' => $this->problems[] = "the log ends with line {$end->count}, the head file says "
                . "{$head->last->count}: its last lines were cut off",
            'head_behind' => $this->problems[] = "the head file is $behind lines behind the log: an older one was "
                . 'put back, or the machine lost power',
            'last_line_changed' => $this->problems[] = "line {$end->count} is not the one that the head file knows",
        };
    }

    /**
     * @param list<string> $problems
     * @return list<string>
     */
    private function shortened(array $problems): array
    {
        $more = count($problems) - self::MAX_TOLD;
        return $more <= 0 ? $problems : [...array_slice($problems, 0, self::MAX_TOLD), "and $more more"];
    }
}

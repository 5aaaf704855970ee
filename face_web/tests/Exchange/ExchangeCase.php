<?php

/** What the tests of the exchange share: a real SQLite file, a registered site, a person, and a clock to set. */

declare(strict_types=1);

namespace FaceWeb\Tests\Exchange;

use FaceWeb\Audit\AuditLog;
use FaceWeb\Database;
use FaceWeb\Exchange\AuthorizationRequest;
use FaceWeb\Exchange\Client;
use FaceWeb\Exchange\Clients;
use FaceWeb\Exchange\Codes;
use FaceWeb\Exchange\NewClient;
use FaceWeb\Exchange\PairwiseSubjects;
use FaceWeb\People\People;
use FaceWeb\People\Person;
use FaceWeb\Tests\FixedClock;
use PHPUnit\Framework\TestCase;

abstract class ExchangeCase extends TestCase
{
    protected const RETURN_TO = 'https://shop.example/back';
    protected const OTHER = 'https://shop.example/other?lang=en';
    protected const STATE = 'a state & 100% of our own';
    protected const SOURCE = '192.0.2.7';

    protected string $directory;
    protected FixedClock $clock;
    protected Database $database;
    protected People $people;
    protected Clients $clients;
    protected AuditLog $audit;
    protected Codes $codes;
    protected NewClient $new;
    protected Person $person;

    protected function setUp(): void
    {
        $this->directory = sys_get_temp_dir() . '/exchange-' . bin2hex(random_bytes(8));
        mkdir($this->directory, 0700);
        $this->clock = new FixedClock();
        $this->database = self::connect($this->place());
        $this->database->migrate();
        $this->people = new People($this->database, $this->clock);
        $this->clients = new Clients($this->database, $this->clock);
        $this->audit = $this->auditLog();
        $subjects = new PairwiseSubjects($this->database);
        $this->codes = new Codes($this->database, $this->clock, $this->people, $subjects, $this->audit);
        $this->new = $this->clients->add('Shop', [self::RETURN_TO, self::OTHER]);
        $this->person = $this->register('anna@example.org');
    }

    protected function tearDown(): void
    {
        unset($this->database);
        array_map(unlink(...), glob("$this->directory/*"));
        rmdir($this->directory);
    }

    /** A SQLite file, or `mariadb:` and a database's name. */
    protected function place(): string
    {
        return "$this->directory/users.sqlite";
    }

    public static function connect(string $place): Database
    {
        return str_starts_with($place, 'mariadb:')
            ? Database::mysql('127.0.0.1', 3306, substr($place, 8), 'root', '')
            : Database::sqlite($place);
    }

    protected function register(string $email): Person
    {
        $person = $this->people->addPending('Anna', $email, 'no real hash', null);
        $this->people->activate($person->id);
        return $this->people->byId($person->id);
    }

    protected function client(): Client
    {
        return $this->clients->find($this->new->id);
    }

    /** @return array<string, string> */
    protected function query(): array
    {
        return ['client' => $this->new->id, 'return_to' => self::RETURN_TO, 'state' => self::STATE];
    }

    /** @param list<string> $amr */
    protected function code(array $amr = ['face']): string
    {
        $request = AuthorizationRequest::read($this->query(), $this->clients);
        return $this->codes->issue($request, $this->person, $amr, $this->clock->now() - 5, self::SOURCE);
    }

    /** @return list<string> the events so far, oldest first */
    protected function events(): array
    {
        return array_column($this->database->rows('SELECT event FROM audit ORDER BY line'), 'event');
    }

    /** @return list<string> what each of six processes says that take the code at the same moment */
    protected function race(string $code): array
    {
        $now = (string) $this->clock->now();
        $given = [$this->place(), $this->directory, $this->new->id, $code, self::RETURN_TO, $now];
        $processes = [];
        for ($i = 0; $i < 6; $i++) {
            $command = [PHP_BINARY, __DIR__ . '/exchange_once.php', ...$given];
            $process = proc_open($command, [['pipe', 'r'], ['pipe', 'w']], $pipes);
            $processes[] = [$process, ...$pipes];
        }
        array_walk($processes, static fn (array $one) => self::assertSame("ready\n", fgets($one[2])));
        array_walk($processes, static fn (array $one) => fwrite($one[1], "go\n"));
        return array_map(static function (array $one): string {
            $said = stream_get_contents($one[2]);
            proc_close($one[0]);
            return (string) $said;
        }, $processes);
    }

    private function auditLog(): AuditLog
    {
        return new AuditLog($this->database, $this->clock, "$this->directory/audit.key", "$this->directory/audit.head");
    }
}

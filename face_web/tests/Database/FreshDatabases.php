<?php

/**
 * For tests on real databases: each test gets its own, a SQLite file or a MariaDB database, removed after it.
 * Where MariaDB does not answer, its tests are skipped with the reason.
 */

declare(strict_types=1);

namespace FaceWeb\Tests\Database;

use FaceWeb\Database;
use FaceWeb\Tests\FixedClock;
use PDO;
use PDOException;

trait FreshDatabases
{
    private string $engine = '';
    private string $place = '';
    private ?string $directory = null;
    private FixedClock $clock;

    /** @return array<string, array{string}> */
    public static function engines(): array
    {
        return ['SQLite' => ['sqlite'], 'MariaDB' => ['mariadb']];
    }

    /** Without tables. */
    private function emptyDatabase(string $engine): Database
    {
        $this->engine = $engine;
        $this->clock = new FixedClock();
        if ($engine === 'mariadb') {
            $this->place = 'face_web_test_' . bin2hex(random_bytes(6));
            $this->server()->exec("CREATE DATABASE {$this->place} CHARACTER SET utf8mb4");
        } else {
            $this->place = $this->directory() . '/users.sqlite';
        }
        return $this->reopened();
    }

    private function database(string $engine): Database
    {
        $database = $this->emptyDatabase($engine);
        $database->migrate();
        return $database;
    }

    /** Another connection, as another process has it. */
    private function reopened(): Database
    {
        return self::connect($this->engine, $this->place);
    }

    public static function connect(string $engine, string $place): Database
    {
        return $engine === 'mariadb'
            ? Database::mysql('127.0.0.1', 3306, $place, 'root', '')
            : Database::sqlite($place);
    }

    private function directory(): string
    {
        if ($this->directory === null) {
            $this->directory = sys_get_temp_dir() . '/face_web_test_' . bin2hex(random_bytes(6));
            mkdir($this->directory, 0700);
        }
        return $this->directory;
    }

    /**
     * Starts that many processes of worker.php, lets them go at the same moment, and gives what each printed.
     *
     * @param array<string, mixed> $task
     * @return list<mixed>
     */
    private function together(int $processes, array $task): array
    {
        $task += ['engine' => $this->engine, 'place' => $this->place, 'now' => $this->clock->now()];
        $running = [];
        for ($number = 0; $number < $processes; $number++) {
            $pipes = [];
            $command = [PHP_BINARY, __DIR__ . '/worker.php', json_encode($task + ['number' => $number])];
            // STDERR is inherited: handing the stream over would rewind the log that it is written to.
            $process = proc_open($command, [['pipe', 'r'], ['pipe', 'w']], $pipes);
            $running[] = [$process, $pipes];
        }
        foreach ($running as [, $pipes]) {
            self::assertSame("ready\n", fgets($pipes[1]));
        }
        foreach ($running as [, $pipes]) {
            fwrite($pipes[0], "go\n");
        }
        return array_map(function (array $one): mixed {
            [$process, $pipes] = $one;
            $printed = (string) stream_get_contents($pipes[1]);
            array_map('fclose', $pipes);
            self::assertSame(0, proc_close($process), $printed);
            return json_decode($printed, true, 32, JSON_THROW_ON_ERROR);
        }, $running);
    }

    /** @after */
    protected function removeDatabases(): void
    {
        if ($this->engine === 'mariadb' && $this->place !== '') {
            $this->server()->exec("DROP DATABASE IF EXISTS {$this->place}");
        }
        if ($this->directory !== null) {
            array_map('unlink', (array) glob($this->directory . '/{,.}*[!.]', GLOB_BRACE));
            rmdir($this->directory);
        }
        [$this->engine, $this->place, $this->directory] = ['', '', null];
    }

    private function server(): PDO
    {
        try {
            return new PDO('mysql:host=127.0.0.1;port=3306', 'root', '', [PDO::ATTR_TIMEOUT => 2]);
        } catch (PDOException $error) {
            $this->place = '';
            self::markTestSkipped('no MariaDB at 127.0.0.1:3306 for root without a password: ' . $error->getMessage());
        }
    }
}

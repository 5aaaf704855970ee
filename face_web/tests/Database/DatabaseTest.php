<?php

declare(strict_types=1);

namespace FaceWeb\Tests\Database;

use FaceWeb\Database;
use FaceWeb\DatabaseError;
use FaceWeb\DatabaseOptions;
use LogicException;
use PHPUnit\Framework\TestCase;
use RuntimeException;

final class DatabaseTest extends TestCase
{
    use FreshDatabases;

    /** @dataProvider engines */
    public function testATransactionThatThrowsLeavesNothing(string $engine): void
    {
        $database = $this->database($engine);
        try {
            $database->transaction(function () use ($database): void {
                $this->put($database, 'a');
                throw new RuntimeException('no');
            });
            self::fail('the exception was swallowed');
        } catch (RuntimeException) {
            self::assertNull($this->get($database, 'a'));
        }
        $database->transaction(fn () => $this->put($database, 'b'));
        self::assertNotNull($this->get($this->reopened(), 'b'));
    }

    /** @dataProvider engines */
    public function testWhenAnInnerTransactionFailsTheOuterOneCannotCommit(string $engine): void
    {
        $database = $this->database($engine);
        try {
            $database->transaction(function () use ($database): void {
                $this->put($database, 'outer');
                try {
                    $database->transaction(fn () => throw new RuntimeException('inner'));
                } catch (RuntimeException) {
                    // somebody hides the failure
                }
            });
            self::fail('half a transaction was committed');
        } catch (LogicException) {
            self::assertNull($this->get($database, 'outer'));
        }
    }

    /** @dataProvider engines */
    public function testWhatWaitsForTheCommitRunsAfterItAndOnlyThen(string $engine): void
    {
        $database = $this->database($engine);
        $seen = [];
        $look = function () use (&$seen): void {
            $seen[] = $this->get($this->reopened(), 'a') !== null;
        };
        $database->transaction(function () use ($database, $look): void {
            $database->transaction(fn () => $database->afterCommit($look));
            $this->put($database, 'a');
        });
        self::assertSame([true], $seen);
        try {
            $database->transaction(function () use ($database, $look): void {
                $database->afterCommit($look);
                throw new RuntimeException('no');
            });
        } catch (RuntimeException) {
            self::assertSame([true], $seen);
        }
    }

    /** @dataProvider engines */
    public function testInsertNewTellsWhetherTheKeyWasFree(string $engine): void
    {
        $database = $this->database($engine);
        self::assertTrue($database->insertNew('setting', ['name' => 'x', 'value' => '1']));
        self::assertFalse($database->insertNew('setting', ['name' => 'x', 'value' => '2']));
        self::assertSame('1', $database->row('SELECT value FROM setting WHERE name = ?', ['x'])['value']);
    }

    /** @dataProvider engines */
    public function testNumbersComeBackAsNumbersAndTextAsItWas(string $engine): void
    {
        $database = $this->database($engine);
        $text = "O'Brien \u{1F600} 李\\%";
        $database->insertNew('setting', ['name' => 'x', 'value' => $text]);
        $row = $database->row('SELECT value, 7 AS n FROM setting WHERE name = ?', ['x']);
        self::assertSame(['value' => $text, 'n' => 7], $row);
    }

    /** @dataProvider engines */
    public function testAnUpdateCountsTheRowsItMatchedAlsoWhenNothingChanges(string $engine): void
    {
        $database = $this->database($engine);
        $this->put($database, 'a');
        self::assertSame(1, $database->execute("UPDATE setting SET value = '' WHERE name = 'a'"));
        self::assertSame(1, $database->execute("UPDATE setting SET value = '' WHERE name = 'a'"));
    }

    /** @dataProvider engines */
    public function testALockOutsideOfATransactionIsAMistakeOfTheCode(string $engine): void
    {
        $database = $this->database($engine);
        $this->expectException(LogicException::class);
        $database->lock('lock_audit');
    }

    public function testADatabaseThatCannotBeOpenedSaysWhichWithoutThePassword(): void
    {
        try {
            Database::mysql('127.0.0.1', 1, 'faces', 'me', 'hunter2secret');
            self::fail('it was opened');
        } catch (DatabaseError $error) {
            self::assertStringContainsString('faces on 127.0.0.1:1', $error->getMessage());
            self::assertStringNotContainsString('hunter2secret', $error->getMessage());
        }
    }

    public function testTheOptionsOfTheConfigurationOpenEitherDatabase(): void
    {
        $file = $this->directory() . '/users.sqlite';
        $sqlite = Database::open(new DatabaseOptions('sqlite', $file, '', 0, '', '', null));
        self::assertFalse($sqlite->isMysql());
        $this->emptyDatabase('mariadb');
        file_put_contents($this->directory() . '/password', "\n");
        $secret = $this->directory() . '/password';
        $mysql = Database::open(new DatabaseOptions('mysql', '', '127.0.0.1', 3306, $this->place, 'root', $secret));
        self::assertTrue($mysql->isMysql());
        $this->expectException(DatabaseError::class);
        Database::open(new DatabaseOptions('mysql', '', '127.0.0.1', 3306, $this->place, 'root', '/nowhere'));
    }

    public function testTheFileOfSqliteIsReadableByItsOwnerAlone(): void
    {
        $this->database('sqlite');
        self::assertSame(0600, fileperms($this->place) & 0777);
    }

    private function put(Database $database, string $name): void
    {
        $database->insertNew('setting', ['name' => $name, 'value' => '']);
    }

    /** @return array<string, mixed>|null */
    private function get(Database $database, string $name): ?array
    {
        return $database->row('SELECT name FROM setting WHERE name = ?', [$name]);
    }
}

<?php

/**
 * Owns the connection: SQLite or MySQL/MariaDB behind one set of calls, transactions, retries and migration.
 * Knows no table by name except `setting`, whose rows serve as locks. It may not know people, faces or sessions.
 *
 * A transaction takes its write lock at the start (SQLite: BEGIN IMMEDIATE; MySQL: lock()), and is run again from its
 * beginning when the database reports busy or deadlock: what it does must touch nothing but the database.
 * A transaction inside another joins it; when the inner one fails, the outer one cannot commit any more.
 */

declare(strict_types=1);

namespace FaceWeb;

use LogicException;
use PDO;
use PDOException;
use PDOStatement;

final class Database
{
    /** After that many collisions in a row something other than bad luck is the matter. */
    private const TRIES = 20;
    private const BUSY_TIMEOUT_MS = 5000;

    private readonly bool $mysql;
    private int $depth = 0;
    private bool $doomed = false;
    /** @var list<callable(): void> */
    private array $afterCommit = [];

    public function __construct(private readonly PDO $pdo)
    {
        $this->mysql = $pdo->getAttribute(PDO::ATTR_DRIVER_NAME) === 'mysql';
        $pdo->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION);
        $pdo->setAttribute(PDO::ATTR_DEFAULT_FETCH_MODE, PDO::FETCH_ASSOC);
        $pdo->setAttribute(PDO::ATTR_STRINGIFY_FETCHES, false);
        $this->mysql ? $this->prepareMysql() : $this->prepareSqlite();
    }

    public static function open(DatabaseOptions $options): self
    {
        if ($options->driver === 'sqlite') {
            return self::sqlite($options->path);
        }
        $password = $options->passwordFile === null ? null : @file_get_contents($options->passwordFile);
        if ($password === false) {
            throw DatabaseError::unreadablePassword((string) $options->passwordFile);
        }
        $secret = $password === null ? null : rtrim($password, "\r\n");
        return self::mysql($options->host, $options->port, $options->name, $options->user, $secret);
    }

    /** The file is made, readable by its owner alone, if it is not there. */
    public static function sqlite(string $path): self
    {
        if (!is_dir(dirname($path)) && !@mkdir(dirname($path), 0700, true) && !is_dir(dirname($path))) {
            throw DatabaseError::directory(dirname($path));
        }
        $former = umask(0077);
        try {
            return new self(new PDO('sqlite:' . $path));
        } catch (PDOException $error) {
            throw DatabaseError::cannotOpen($path, $error);
        } finally {
            umask($former);
        }
    }

    public static function mysql(string $host, int $port, string $name, string $user, ?string $password): self
    {
        $address = sprintf('mysql:host=%s;port=%d;dbname=%s;charset=utf8mb4', $host, $port, $name);
        try {
            return new self(new PDO($address, $user, $password, [
                PDO::ATTR_EMULATE_PREPARES => false,
                PDO::MYSQL_ATTR_MULTI_STATEMENTS => false,
                PDO::MYSQL_ATTR_LOCAL_INFILE => false,
                PDO::MYSQL_ATTR_FOUND_ROWS => true, // UPDATE counts the rows it matched, as SQLite does
                PDO::ATTR_TIMEOUT => 5,
            ]));
        } catch (PDOException $error) {
            throw DatabaseError::cannotOpen("$name on $host:$port", $error);
        }
    }

    public function isMysql(): bool
    {
        return $this->mysql;
    }

    /**
     * All of it or nothing; see the top of this file for what the work may do.
     *
     * @template T
     * @param callable(): T $work
     * @return T
     */
    public function transaction(callable $work): mixed
    {
        if ($this->depth > 0) {
            return $this->joined($work);
        }
        for ($try = 1;; $try++) {
            try {
                return $this->attempt($work);
            } catch (PDOException $error) {
                if ($try >= self::TRIES || !self::isCollision($error)) {
                    throw $error;
                }
                usleep(random_int(1000, 10000 * min($try, 5)));
            }
        }
    }

    /** Runs once the outermost transaction has committed (never, if it does not); at once outside of one. */
    public function afterCommit(callable $work): void
    {
        if ($this->depth === 0) {
            $work();
            return;
        }
        $this->afterCommit[] = $work;
    }

    /** Holds the named lock (a row of `setting`, made by the schema) until the transaction ends. */
    public function lock(string $name): void
    {
        if ($this->depth === 0) {
            throw new LogicException('a lock lasts as long as its transaction, and there is none');
        }
        if ($this->mysql && $this->row('SELECT value FROM setting WHERE name = ? FOR UPDATE', [$name]) === null) {
            throw DatabaseError::notMigrated();
        }
    }

    /** @param array<int|string, int|string|null> $params */
    public function execute(string $sql, array $params = []): int
    {
        return $this->run($sql, $params)->rowCount();
    }

    /**
     * @param array<int|string, int|string|null> $params
     * @return array<string, int|string|null>|null
     */
    public function row(string $sql, array $params = []): ?array
    {
        $statement = $this->run($sql, $params);
        $row = $statement->fetch();
        $statement->closeCursor();
        return $row === false ? null : $row;
    }

    /**
     * @param array<int|string, int|string|null> $params
     * @return list<array<string, int|string|null>>
     */
    public function rows(string $sql, array $params = []): array
    {
        return $this->run($sql, $params)->fetchAll();
    }

    /**
     * Inserts unless a row with the same key is there; whether it did. Names come from the code, never from outside.
     *
     * @param array<string, int|string|null> $values
     */
    public function insertNew(string $table, array $values): bool
    {
        $columns = implode(', ', array_keys($values));
        $marks = implode(', ', array_fill(0, count($values), '?'));
        $verb = $this->mysql ? 'INSERT IGNORE' : 'INSERT OR IGNORE';
        return $this->execute("$verb INTO $table ($columns) VALUES ($marks)", array_values($values)) === 1;
    }

    public function lastId(): int
    {
        return (int) $this->pdo->lastInsertId();
    }

    /** Brings the tables to the version of this code; the number of steps it took. */
    public function migrate(): int
    {
        return (new Schema($this))->migrate();
    }

    public static function isDuplicate(PDOException $error): bool
    {
        $code = $error->errorInfo[1] ?? null;
        return $code === 1062 || ($code === 19 && str_contains($error->getMessage(), 'UNIQUE'));
    }

    /** Busy or locked (SQLite 5, 6), lock wait timeout or deadlock (MySQL 1205, 1213), changed record (MariaDB 1020). */
    private static function isCollision(PDOException $error): bool
    {
        return in_array($error->errorInfo[1] ?? null, [5, 6, 1205, 1213, 1020], true);
    }

    private function attempt(callable $work): mixed
    {
        $this->pdo->exec($this->mysql ? 'START TRANSACTION' : 'BEGIN IMMEDIATE');
        $this->depth = 1;
        [$this->doomed, $this->afterCommit] = [false, []];
        try {
            $result = $work();
            if ($this->doomed) {
                throw new LogicException('a part of this transaction failed: it cannot be committed');
            }
            $this->pdo->exec('COMMIT');
        } catch (\Throwable $error) {
            $this->depth = 0;
            $this->rollBack();
            throw $error;
        }
        $this->depth = 0;
        foreach ($this->afterCommit as $then) {
            $then();
        }
        return $result;
    }

    private function joined(callable $work): mixed
    {
        $this->depth++;
        try {
            return $work();
        } catch (\Throwable $error) {
            $this->doomed = true;
            throw $error;
        } finally {
            $this->depth--;
        }
    }

    private function rollBack(): void
    {
        try {
            $this->pdo->exec('ROLLBACK');
        } catch (PDOException) {
            // The database has rolled back already (a deadlock, a lost connection): the first error is the one to tell.
        }
    }

    /** @param array<int|string, int|string|null> $params */
    private function run(string $sql, array $params): PDOStatement
    {
        $statement = $this->pdo->prepare($sql);
        foreach ($params as $name => $value) {
            $type = is_int($value) ? PDO::PARAM_INT : ($value === null ? PDO::PARAM_NULL : PDO::PARAM_STR);
            $statement->bindValue(is_int($name) ? $name + 1 : $name, $value, $type);
        }
        $statement->execute();
        return $statement;
    }

    private function prepareSqlite(): void
    {
        $this->pdo->exec('PRAGMA busy_timeout = ' . self::BUSY_TIMEOUT_MS);
        $this->pdo->exec('PRAGMA journal_mode = WAL');
        $this->pdo->exec('PRAGMA synchronous = FULL');
        $this->pdo->exec('PRAGMA foreign_keys = ON');
        $this->pdo->exec('PRAGMA secure_delete = ON');
        // SQLite's own lower() knows ASCII alone.
        $this->pdo->sqliteCreateFunction('lower', fn (?string $text) => mb_strtolower((string) $text, 'UTF-8'), 1);
    }

    private function prepareMysql(): void
    {
        $this->pdo->setAttribute(PDO::ATTR_EMULATE_PREPARES, false);
        $this->pdo->exec(
            "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO', "
            . 'SESSION innodb_lock_wait_timeout = 10'
        );
        $this->pdo->exec('SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED');
    }
}

<?php

/**
 * Owns the tables: every statement that makes or changes one, for SQLite and MySQL/MariaDB alike, in numbered steps.
 * Knows no rows except those of the original system, which it takes over: its table face_user(id, img, user_name,
 * email) keeps its columns and values. `email` may be doubled, empty or in capitals there, so uniqueness and look-up
 * are by our own column `email_key`; rows that were there before have no password and are disabled until their owner
 * registers anew under that email.
 *
 * MySQL commits at every CREATE and ALTER, so each step may be run again after a crash in its midst.
 */

declare(strict_types=1);

namespace FaceWeb;

use FaceWeb\People\Entries;
use FaceWeb\People\InvalidEntry;

final class Schema
{
    public const VERSION = 2;

    /** Types by name: SQLite's, then MySQL's. Hashes and ids compare byte by byte, and so do emails and names. */
    private const TYPES = [
        '{id}' => ['INTEGER PRIMARY KEY AUTOINCREMENT', 'BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY'],
        '{int}' => ['INTEGER', 'BIGINT'],
        '{hash}' => ['TEXT', 'CHAR(64) CHARACTER SET ascii COLLATE ascii_bin'],
        '{subject}' => ['TEXT', 'CHAR(32) CHARACTER SET ascii COLLATE ascii_bin'],
        '{word}' => ['TEXT', 'VARCHAR(64) CHARACTER SET ascii COLLATE ascii_bin'],
        '{secret}' => ['TEXT', 'VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin'],
        '{name}' => ['TEXT', 'VARCHAR(100) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin'],
        '{email}' => ['TEXT', 'VARCHAR(254) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin'],
        '{text}' => ['TEXT', 'VARCHAR(4000) CHARACTER SET utf8mb4 COLLATE utf8mb4_bin'],
        '{end}' => ['', ' ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin ROW_FORMAT=DYNAMIC'],
    ];

    private const LOCKS = ['lock_audit', 'lock_throttle', 'lock_detect'];

    private const SETTING = 'CREATE TABLE IF NOT EXISTS setting (name {word} NOT NULL PRIMARY KEY, value {text}){end}';

    private const FACE_USER =
        'CREATE TABLE IF NOT EXISTS face_user (id {id}, img {text}, user_name {name}, email {email}){end}';

    /** What we add to the original's table. */
    private const ADDED = [
        'email_key' => '{email} NULL',
        'password_hash' => '{secret} NULL',
        'status' => "{word} NOT NULL DEFAULT 'disabled'",
        'role' => "{word} NOT NULL DEFAULT 'person'",
        'consent_at' => '{int} NULL',
        'consent_version' => '{word} NULL',
        'created_at' => '{int} NOT NULL DEFAULT 0',
        'sessions_from' => '{int} NOT NULL DEFAULT 0',
    ];

    private const TABLES = [
        'CREATE TABLE IF NOT EXISTS face (subject {subject} NOT NULL PRIMARY KEY, user_id {int} NOT NULL UNIQUE,
            state {word} NOT NULL, created_at {int} NOT NULL, FOREIGN KEY (user_id) REFERENCES face_user (id)){end}',
        'CREATE TABLE IF NOT EXISTS capture (id {id}, user_id {int} NOT NULL, subject {subject} NOT NULL,
            template_id {int} NOT NULL, created_at {int} NOT NULL, UNIQUE (subject, template_id),
            FOREIGN KEY (subject) REFERENCES face (subject), FOREIGN KEY (user_id) REFERENCES face_user (id)){end}',
        'CREATE TABLE IF NOT EXISTS login_nonce (nonce_hash {hash} NOT NULL PRIMARY KEY, session_hash {hash} NOT NULL,
            purpose {word} NOT NULL, expires_at {int} NOT NULL){end}',
        'CREATE TABLE IF NOT EXISTS seen_frame (digest {hash} NOT NULL PRIMARY KEY, seen_until {int} NOT NULL){end}',
        'CREATE TABLE IF NOT EXISTS throttle (scope {word} NOT NULL, key_hash {hash} NOT NULL, hits {int} NOT NULL,
            total {int} NOT NULL, since {int} NOT NULL, last_at {int} NOT NULL, PRIMARY KEY (scope, key_hash)){end}',
        'CREATE TABLE IF NOT EXISTS audit (line {int} NOT NULL PRIMARY KEY, at {int} NOT NULL, event {word} NOT NULL,
            user_id {int} NULL, source {word} NOT NULL, detail {text} NOT NULL, mac {hash} NOT NULL){end}',
        'CREATE TABLE IF NOT EXISTS invite (code_hash {hash} NOT NULL PRIMARY KEY, created_by {int} NULL,
            created_at {int} NOT NULL, expires_at {int} NOT NULL, used_at {int} NULL){end}',
        'CREATE TABLE IF NOT EXISTS client (id {word} NOT NULL PRIMARY KEY, name {name} NOT NULL,
            secret_hash {secret} NOT NULL, return_to {text} NOT NULL, created_at {int} NOT NULL){end}',
        'CREATE TABLE IF NOT EXISTS code (code_hash {hash} NOT NULL PRIMARY KEY, client_id {word} NOT NULL,
            user_id {int} NOT NULL, return_to {text} NOT NULL, amr {word} NOT NULL, auth_time {int} NOT NULL,
            expires_at {int} NOT NULL, used_at {int} NULL){end}',
    ];

    private const GONE_FACE = 'CREATE TABLE IF NOT EXISTS gone_face (subject {subject} NOT NULL PRIMARY KEY,
        gone_at {int} NOT NULL){end}';

    private const FORMER_USER = 'CREATE TABLE IF NOT EXISTS former_user (user_id {int} NOT NULL PRIMARY KEY, img {text},
        user_name {name}, email {email}, role {word} NOT NULL, FOREIGN KEY (user_id) REFERENCES face_user (id)){end}';

    /** index name => [table, columns, unique] */
    private const INDEXES = [
        'face_user_email_key' => ['face_user', 'email_key', true],
        'face_user_status' => ['face_user', 'status', false],
        'capture_user' => ['capture', 'user_id', false],
        'login_nonce_expiry' => ['login_nonce', 'expires_at', false],
        'seen_frame_expiry' => ['seen_frame', 'seen_until', false],
        'throttle_age' => ['throttle', 'last_at', false],
        'audit_user' => ['audit', 'user_id, line', false],
        'code_expiry' => ['code', 'expires_at', false],
    ];

    public function __construct(private readonly Database $database)
    {
    }

    /** The number of steps that were taken: 0 when all was in place. */
    public function migrate(): int
    {
        $this->refuseNewer();
        if ($this->version() === self::VERSION) {
            return 0;
        }
        return $this->database->isMysql() ? $this->migrateMysql() : $this->database->transaction($this->steps(...));
    }

    public function version(): int
    {
        if (!in_array('value', $this->columns('setting'), true)) {
            return 0;
        }
        $row = $this->database->row("SELECT value FROM setting WHERE name = 'schema_version'");
        return (int) ($row['value'] ?? 0);
    }

    private function refuseNewer(): void
    {
        if ($this->version() > self::VERSION) {
            throw DatabaseError::newer($this->version(), self::VERSION);
        }
    }

    private function migrateMysql(): int
    {
        $name = "CONCAT('face_login_migrate_', MD5(DATABASE()))";
        $this->database->row("SELECT GET_LOCK($name, 120)");
        try {
            return $this->steps();
        } finally {
            $this->database->row("SELECT RELEASE_LOCK($name)");
        }
    }

    /** Under the lock: asks again how far the database is, since another process may have been faster. */
    private function steps(): int
    {
        $from = $this->version();
        if ($from < 1) {
            $this->stepOne();
        }
        if ($from < 2) {
            $this->stepTwo();
        }
        return self::VERSION - $from;
    }

    private function stepOne(): void
    {
        $this->make(self::SETTING);
        $this->make(self::FACE_USER);
        $this->widenOriginal();
        $this->addColumns();
        array_map($this->make(...), self::TABLES);
        $this->keyEmails();
        $this->addIndexes();
        foreach (self::LOCKS as $name) {
            $this->database->insertNew('setting', ['name' => $name, 'value' => '']);
        }
        $this->database->insertNew('setting', ['name' => 'schema_version', 'value' => '1']);
    }

    /** What is removed is removed twice, an unfinished take-over can be undone, and who is barred stays so. */
    private function stepTwo(): void
    {
        $this->make(self::GONE_FACE);
        $this->make(self::FORMER_USER);
        if (!in_array('face_barred', $this->columns('face_user'), true)) {
            $this->make('ALTER TABLE face_user ADD COLUMN face_barred {int} NOT NULL DEFAULT 0');
        }
        $off = "SELECT user_id FROM face WHERE state = 'off'";
        $this->database->execute("UPDATE face_user SET face_barred = 1 WHERE id IN ($off)");
        $this->database->execute("UPDATE setting SET value = '2' WHERE name = 'schema_version'");
    }

    private function make(string $sql): void
    {
        $this->database->execute($this->dialect($sql));
    }

    private function dialect(string $sql): string
    {
        $column = $this->database->isMysql() ? 1 : 0;
        return strtr($sql, array_map(fn (array $types) => $types[$column], self::TYPES));
    }

    /** The original's columns on MySQL may be too narrow, of another character set, or of an engine without transactions. */
    private function widenOriginal(): void
    {
        if (!$this->database->isMysql()) {
            return;
        }
        $engine = $this->database->row(
            "SELECT engine AS name FROM information_schema.tables
             WHERE table_schema = DATABASE() AND table_name = 'face_user'"
        );
        if (strcasecmp((string) $engine['name'], 'InnoDB') !== 0) {
            $this->make('ALTER TABLE face_user ENGINE=InnoDB ROW_FORMAT=DYNAMIC');
        }
        $this->widen('user_name', 100);
        $this->widen('email', 254);
        if (strcasecmp((string) $this->column('id')['type'], 'bigint') !== 0) {
            $this->make('ALTER TABLE face_user MODIFY id BIGINT NOT NULL AUTO_INCREMENT');
        }
    }

    private function widen(string $column, int $characters): void
    {
        $found = $this->column($column);
        $length = (int) $found['length'];
        if ($length < $characters || $found['charset'] !== 'utf8mb4') {
            $type = $length > 4000 ? 'LONGTEXT' : 'VARCHAR(' . max($length, $characters) . ')';
            $this->make("ALTER TABLE face_user MODIFY $column $type CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NULL");
        }
    }

    /** @return array<string, int|string|null> */
    private function column(string $name): array
    {
        return $this->database->row(
            "SELECT data_type AS type, character_maximum_length AS length, character_set_name AS charset
             FROM information_schema.columns
             WHERE table_schema = DATABASE() AND table_name = 'face_user' AND column_name = ?",
            [$name]
        ) ?? throw DatabaseError::foreign($name);
    }

    private function addColumns(): void
    {
        $there = $this->columns('face_user');
        foreach (array_diff(['id', 'img', 'user_name', 'email'], $there) as $missing) {
            throw DatabaseError::foreign($missing);
        }
        foreach (array_diff_key(self::ADDED, array_flip($there)) as $name => $type) {
            $this->make("ALTER TABLE face_user ADD COLUMN $name $type");
        }
    }

    /** Gives each email of the original to the first row that has it; a row whose email cannot be one gets no key. */
    private function keyEmails(): void
    {
        $rows = $this->database->rows(
            "SELECT id, email FROM face_user WHERE email_key IS NULL AND email IS NOT NULL AND email <> '' ORDER BY id"
        );
        $taken = $this->database->rows('SELECT email_key FROM face_user WHERE email_key IS NOT NULL');
        $seen = array_fill_keys(array_column($taken, 'email_key'), true);
        foreach ($rows as $row) {
            try {
                $key = Entries::email((string) $row['email']);
            } catch (InvalidEntry) {
                continue;
            }
            if (!isset($seen[$key])) {
                $this->database->execute('UPDATE face_user SET email_key = ? WHERE id = ?', [$key, $row['id']]);
                $seen[$key] = true;
            }
        }
    }

    private function addIndexes(): void
    {
        foreach (self::INDEXES as $name => [$table, $columns, $unique]) {
            if (!$this->hasIndex($table, $name)) {
                $this->make('CREATE ' . ($unique ? 'UNIQUE ' : '') . "INDEX $name ON $table ($columns)");
            }
        }
    }

    private function hasIndex(string $table, string $name): bool
    {
        $sql = $this->database->isMysql()
            ? 'SELECT 1 FROM information_schema.statistics
               WHERE table_schema = DATABASE() AND table_name = ? AND index_name = ? LIMIT 1'
            : "SELECT 1 FROM sqlite_master WHERE type = 'index' AND tbl_name = ? AND name = ?";
        return $this->database->row($sql, [$table, $name]) !== null;
    }

    /** @return list<string> empty if there is no such table */
    private function columns(string $table): array
    {
        $sql = $this->database->isMysql()
            ? 'SELECT column_name AS name FROM information_schema.columns
               WHERE table_schema = DATABASE() AND table_name = ?'
            : 'SELECT name FROM pragma_table_info(?)';
        return array_map('strtolower', array_column($this->database->rows($sql, [$table]), 'name'));
    }
}

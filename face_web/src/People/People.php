<?php

/**
 * Owns the rows of users, faces and captures, and which step may follow which. Knows no daemon: who calls it does
 * the two sides in the order pending -> enrol -> active, and the reverse for deletion.
 *
 * A subject is 128 random bits made for one face and never given again: a database's own numbers can come back after
 * a deletion, and a template left over would then log in somebody else.
 */

declare(strict_types=1);

namespace FaceWeb\People;

use FaceWeb\Database;
use FaceWeb\Security\Clock;
use PDOException;

final class People
{
    private const SELECT = 'SELECT u.*, f.subject, f.state AS face_state, f.created_at AS face_created_at
        FROM face_user u LEFT JOIN face f ON f.user_id = u.id';

    public readonly GoneFaces $goneFaces;
    private readonly FormerUsers $formerUsers;

    public function __construct(private readonly Database $database, private readonly Clock $clock)
    {
        $this->goneFaces = new GoneFaces($database, $clock);
        $this->formerUsers = new FormerUsers($database);
    }

    public function byId(int $id): ?Person
    {
        return $this->one('u.id = ?', $id);
    }

    /** Also null for what cannot be an email. */
    public function byEmail(string $email): ?Person
    {
        try {
            return $this->one('u.email_key = ?', Entries::email($email));
        } catch (InvalidEntry) {
            return null;
        }
    }

    /** Null also for what another program has enrolled. */
    public function bySubject(string $subject): ?Person
    {
        return preg_match('/\A[0-9a-f]{32}\z/', $subject) === 1 ? $this->one('f.subject = ?', $subject) : null;
    }

    /**
     * Whose name or email contains the text, in the order of their ids; everybody for an empty text.
     *
     * @param int|null $after the last id of the page before
     * @return list<Person>
     */
    public function search(string $text, int $limit, ?int $after = null): array
    {
        $pattern = '%' . preg_replace('/[%_!]/', '!$0', mb_strtolower(trim($text), 'UTF-8')) . '%';
        return $this->many(
            "u.id > ? AND (LOWER(u.user_name) LIKE ? ESCAPE '!' OR LOWER(u.email) LIKE ? ESCAPE '!')
             ORDER BY u.id LIMIT " . max(1, min($limit, 500)),
            [$after ?? 0, $pattern, $pattern]
        );
    }

    public function count(): int
    {
        return (int) $this->database->row('SELECT COUNT(*) AS n FROM face_user')['n'];
    }

    /** Active administrators; the last one should not be taken away. */
    public function countAdmins(): int
    {
        $sql = "SELECT COUNT(*) AS n FROM face_user WHERE role = 'admin' AND status = 'active'";
        return (int) $this->database->row($sql)['n'];
    }

    /**
     * A row that cannot log in yet. A row of the original system with this email, which has no password, is taken over.
     *
     * @param string|null $consentVersion null: no consent (an account without a face)
     * @throws EmailTaken
     * @throws InvalidEntry
     */
    public function addPending(
        string $name,
        string $email,
        string $passwordHash,
        ?string $consentVersion,
        Role $role = Role::Person,
    ): Person {
        $values = [
            'img' => '',
            'user_name' => Entries::name($name),
            'email' => Entries::email($email),
            'email_key' => Entries::email($email),
            'password_hash' => $passwordHash,
            'status' => Status::Pending->value,
            'role' => $role->value,
            'consent_at' => $consentVersion === null ? null : $this->clock->now(),
            'consent_version' => $consentVersion,
            'created_at' => $this->clock->now(),
            'sessions_from' => $this->clock->now(),
        ];
        return $this->byId($this->database->transaction(fn () => $this->takeOver($values) ?? $this->insert($values)));
    }

    /** The registration is complete. */
    public function activate(int $id): void
    {
        $this->database->transaction(function () use ($id): void {
            $this->step($id, [Status::Pending], Status::Active, 'activated');
            $this->formerUsers->forget($id);
        });
    }

    /** From here on nobody logs in, and reconciliation finishes what does not get finished. */
    public function markDeleting(int $id): void
    {
        $this->step($id, Status::cases(), Status::Deleting, 'deleted');
    }

    /**
     * Removes the row and what hangs on it; after markDeleting, or a registration that was not completed. A row of the
     * original system that such a registration had taken over is as it was.
     */
    public function delete(int $id): void
    {
        $this->database->transaction(function () use ($id): void {
            $person = $this->locked($id);
            if (!in_array($person?->status, [Status::Deleting, Status::Pending], true)) {
                throw WrongState::account($id, 'removed');
            }
            $this->dropFace($id);
            if ($person->status === Status::Pending && $this->formerUsers->giveBack($id)) {
                return;
            }
            $this->formerUsers->forget($id);
            $this->database->execute('DELETE FROM face_user WHERE id = ?', [$id]);
        });
    }

    /** Active or Disabled, from either. Somebody without a password registers anew instead. */
    public function setStatus(int $id, Status $status): void
    {
        $settled = [Status::Active, Status::Disabled];
        if (!in_array($status, $settled, true)) {
            throw WrongState::account($id, $status->value);
        }
        $this->database->transaction(function () use ($id, $status, $settled): void {
            if ($status === Status::Active && ($this->locked($id)?->passwordHash ?? '') === '') {
                throw WrongState::account($id, 'enabled without a password');
            }
            $this->step($id, $settled, $status, $status->value);
            if ($status === Status::Disabled) {
                $this->endSessions($id);
            }
        });
    }

    /** @throws InvalidEntry */
    public function rename(int $id, string $name): void
    {
        $this->set($id, 'user_name = ?', [Entries::name($name)]);
    }

    /**
     * @throws EmailTaken
     * @throws InvalidEntry
     */
    public function setEmail(int $id, string $email): void
    {
        $clean = Entries::email($email);
        try {
            $this->set($id, 'email = ?, email_key = ?', [$clean, $clean]);
        } catch (PDOException $error) {
            throw Database::isDuplicate($error) ? EmailTaken::byAnother() : $error;
        }
    }

    /** The password was changed: sessions that were there before end. */
    public function setPasswordHash(int $id, string $hash): void
    {
        $this->database->transaction(function () use ($id, $hash): void {
            $this->set($id, 'password_hash = ?', [$hash]);
            $this->endSessions($id);
        });
    }

    /** The same password under a new hash (its cost was raised): sessions go on. */
    public function renewPasswordHash(int $id, string $hash): void
    {
        $this->set($id, 'password_hash = ?', [$hash]);
    }

    /** Sessions that are there now are no longer good: the value never stays, also not within one second. */
    public function endSessions(int $id): void
    {
        $now = $this->clock->now();
        $this->set($id, 'sessions_from = CASE WHEN sessions_from < ? THEN ? ELSE sessions_from + 1 END', [$now, $now]);
    }

    public function setRole(int $id, Role $role): void
    {
        $this->set($id, 'role = ?', [$role->value]);
    }

    public function recordConsent(int $id, string $version): void
    {
        $this->set($id, 'consent_at = ?, consent_version = ?', [$this->clock->now(), $version]);
    }

    /** A new subject under which the daemon may be asked to enrol. */
    public function startFace(int $id): string
    {
        $subject = bin2hex(random_bytes(16));
        $values = [$subject, $id, FaceState::Enrolling->value, $this->clock->now()];
        try {
            $this->database->execute(
                'INSERT INTO face (subject, user_id, state, created_at) VALUES (?, ?, ?, ?)',
                $values
            );
        } catch (PDOException $error) {
            throw Database::isDuplicate($error) ? WrongState::faceExists($id) : $error;
        }
        return $subject;
    }

    /**
     * The daemon has the templates: the face may be used, unless an administrator has turned this person's faces off.
     *
     * @param list<int> $templateIds
     */
    public function faceEnrolled(int $id, array $templateIds): void
    {
        $this->database->transaction(function () use ($id, $templateIds): void {
            $barred = $this->database->row('SELECT face_barred FROM face_user WHERE id = ?', [$id])['face_barred'] ?? 1;
            $this->faceStep($id, [FaceState::Enrolling], (int) $barred === 0 ? FaceState::Active : FaceState::Off);
            $this->addCaptures($id, $templateIds);
        });
    }

    /** @return list<Capture> */
    public function captures(int $id): array
    {
        $rows = $this->database->rows(
            'SELECT template_id, created_at FROM capture WHERE user_id = ? ORDER BY created_at, id',
            [$id]
        );
        return array_map(fn (array $row) => new Capture((int) $row['template_id'], (int) $row['created_at']), $rows);
    }

    /**
     * Those that are there already stay as they are. Refused for a face that goes, or went and came again since the
     * daemon was asked: what it has enrolled then is nobody's.
     *
     * @param list<int> $templateIds
     * @param string|null $subject under which they are; null: the face's own
     */
    public function addCaptures(int $id, array $templateIds, ?string $subject = null): void
    {
        $this->database->transaction(function () use ($id, $templateIds, $subject): void {
            $person = $this->locked($id);
            $face = $person?->face ?? throw WrongState::noFace($id);
            $stays = in_array($face->state, [FaceState::Active, FaceState::Off], true)
                && $person->status !== Status::Deleting;
            if (!$stays || $face->subject !== ($subject ?? $face->subject)) {
                throw WrongState::noFace($id);
            }
            foreach ($templateIds as $templateId) {
                $this->database->insertNew('capture', [
                    'user_id' => $id,
                    'subject' => $face->subject,
                    'template_id' => $templateId,
                    'created_at' => $this->clock->now(),
                ]);
            }
        });
    }

    /**
     * Off and Active for an administrator, Removing before the daemon is asked to forget; never back from Removing.
     * Off holds for the person: a new face is off too.
     */
    public function setFaceState(int $id, FaceState $state): void
    {
        $from = match ($state) {
            FaceState::Removing => FaceState::cases(),
            FaceState::Off, FaceState::Active => [FaceState::Active, FaceState::Off],
            FaceState::Enrolling => [],
        };
        $this->database->transaction(function () use ($id, $from, $state): void {
            $this->faceStep($id, $from, $state);
            if ($state !== FaceState::Removing) {
                $this->set($id, 'face_barred = ?', [$state === FaceState::Off ? 1 : 0]);
            }
        });
    }

    /** An administrator gives the person a fresh start: the next face is not off. */
    public function unbar(int $id): void
    {
        $this->set($id, 'face_barred = ?', [0]);
    }

    /** The daemon has forgotten: the rows of the face go, and the consent is withdrawn. */
    public function removeFace(int $id): void
    {
        $this->database->transaction(function () use ($id): void {
            $this->dropFace($id);
            $this->set($id, 'consent_at = ?, consent_version = ?', [null, null]);
        });
    }

    /**
     * Accounts and faces that a crash left half-way.
     *
     * @return list<Person>
     */
    public function halfMade(): array
    {
        return $this->many(
            "u.status IN ('pending', 'deleting') OR f.state IN ('enrolling', 'removing') ORDER BY u.id",
            []
        );
    }

    /** @param array<string, int|string|null> $values */
    private function takeOver(array $values): ?int
    {
        $id = $this->formerUsers->find((string) $values['email_key']);
        if ($id !== null) {
            $this->formerUsers->keep($id);
            $this->set($id, implode(' = ?, ', array_keys($values)) . ' = ?', array_values($values));
        }
        return $id;
    }

    /** @param array<string, int|string|null> $values */
    private function insert(array $values): int
    {
        $columns = implode(', ', array_keys($values));
        $marks = implode(', ', array_fill(0, count($values), '?'));
        try {
            $this->database->execute("INSERT INTO face_user ($columns) VALUES ($marks)", array_values($values));
        } catch (PDOException $error) {
            throw Database::isDuplicate($error) ? EmailTaken::byAnother() : $error;
        }
        return $this->database->lastId();
    }

    /** @param list<Status> $from */
    private function step(int $id, array $from, Status $to, string $word): void
    {
        $states = array_map(fn (Status $status) => $status->value, $from);
        $marks = implode(', ', array_fill(0, count($states), '?'));
        $changed = $this->database->execute(
            "UPDATE face_user SET status = ? WHERE id = ? AND status IN ($marks)",
            [$to->value, $id, ...$states]
        );
        if ($changed !== 1) {
            throw WrongState::account($id, $word);
        }
    }

    /** @param list<FaceState> $from */
    private function faceStep(int $id, array $from, FaceState $to): void
    {
        $states = array_map(fn (FaceState $state) => $state->value, $from);
        $marks = implode(', ', array_fill(0, count($states), '?')) ?: 'NULL';
        $changed = $this->database->execute(
            "UPDATE face SET state = ? WHERE user_id = ? AND state IN ($marks)",
            [$to->value, $id, ...$states]
        );
        if ($changed !== 1) {
            throw WrongState::noFace($id);
        }
    }

    /** @param list<int|string|null> $values */
    private function set(int $id, string $assignments, array $values): void
    {
        if ($this->database->execute("UPDATE face_user SET $assignments WHERE id = ?", [...$values, $id]) !== 1) {
            throw WrongState::account($id, 'changed');
        }
    }

    private function dropFace(int $id): void
    {
        $this->database->execute('DELETE FROM capture WHERE user_id = ?', [$id]);
        foreach ($this->database->rows('SELECT subject FROM face WHERE user_id = ?', [$id]) as $face) {
            $this->goneFaces->add((string) $face['subject']);
        }
        $this->database->execute('DELETE FROM face WHERE user_id = ?', [$id]);
    }

    private function locked(int $id): ?Person
    {
        return $this->one('u.id = ?' . ($this->database->isMysql() ? ' FOR UPDATE' : ''), $id);
    }

    private function one(string $condition, int|string $value): ?Person
    {
        return $this->many($condition, [$value])[0] ?? null;
    }

    /**
     * @param list<int|string> $params
     * @return list<Person>
     */
    private function many(string $condition, array $params): array
    {
        return array_map(self::person(...), $this->database->rows(self::SELECT . " WHERE $condition", $params));
    }

    /** @param array<string, int|string|null> $row */
    private static function person(array $row): Person
    {
        return new Person(
            (int) $row['id'],
            (string) $row['user_name'],
            (string) $row['email'],
            Status::from((string) $row['status']),
            Role::from((string) $row['role']),
            (string) $row['password_hash'],
            $row['consent_at'] === null ? null : (int) $row['consent_at'],
            $row['consent_version'] === null ? null : (string) $row['consent_version'],
            self::face($row),
            (int) $row['created_at'],
            (int) $row['sessions_from'],
        );
    }

    /** @param array<string, int|string|null> $row */
    private static function face(array $row): ?Face
    {
        if ($row['subject'] === null) {
            return null;
        }
        $state = FaceState::from((string) $row['face_state']);
        return new Face((string) $row['subject'], $state, (int) $row['face_created_at']);
    }
}

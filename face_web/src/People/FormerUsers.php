<?php

/**
 * Owns what the original system said of a user whose row a registration has taken over, for as long as that
 * registration is not complete: if it comes to nothing, the row is as it was.
 */

declare(strict_types=1);

namespace FaceWeb\People;

use FaceWeb\Database;

final class FormerUsers
{
    public function __construct(private readonly Database $database)
    {
    }

    /** The row of the original with this email, which has no password; null when there is none. */
    public function find(string $emailKey): ?int
    {
        $row = $this->database->row(
            'SELECT id FROM face_user WHERE email_key = ? AND password_hash IS NULL'
                . ($this->database->isMysql() ? ' FOR UPDATE' : ''),
            [$emailKey]
        );
        return $row === null ? null : (int) $row['id'];
    }

    /** Before the row is written over, in the same transaction. */
    public function keep(int $id): void
    {
        $this->database->execute(
            'INSERT INTO former_user (user_id, img, user_name, email, role)
             SELECT id, img, user_name, email, role FROM face_user WHERE id = ?',
            [$id]
        );
    }

    /** Undoes the taking over. False: this row never was another's. */
    public function giveBack(int $id): bool
    {
        $former = $this->database->row('SELECT * FROM former_user WHERE user_id = ?', [$id]);
        if ($former === null) {
            return false;
        }
        $this->database->execute(
            'UPDATE face_user SET img = ?, user_name = ?, email = ?, role = ?, email_key = ?, status = ?,
             password_hash = NULL, consent_at = NULL, consent_version = NULL, created_at = 0, sessions_from = 0
             WHERE id = ?',
            [$former['img'], $former['user_name'], $former['email'], $former['role'],
                Entries::email((string) $former['email']), Status::Disabled->value, $id]
        );
        $this->forget($id);
        return true;
    }

    /** The registration is complete: the row is the new account's for good. */
    public function forget(int $id): void
    {
        $this->database->execute('DELETE FROM former_user WHERE user_id = ?', [$id]);
    }
}

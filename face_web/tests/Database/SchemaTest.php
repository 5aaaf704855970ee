<?php

declare(strict_types=1);

namespace FaceWeb\Tests\Database;

use FaceWeb\Database;
use FaceWeb\DatabaseError;
use FaceWeb\People\EmailTaken;
use FaceWeb\People\FaceState;
use FaceWeb\People\People;
use FaceWeb\People\Status;
use FaceWeb\People\WrongState;
use FaceWeb\Schema;
use PDOException;
use PHPUnit\Framework\TestCase;

final class SchemaTest extends TestCase
{
    use FreshDatabases;

    /** @dataProvider engines */
    public function testMigratingTwiceDoesNothingTheSecondTime(string $engine): void
    {
        $database = $this->emptyDatabase($engine);
        self::assertSame(Schema::VERSION, $database->migrate());
        self::assertSame(0, $database->migrate());
        self::assertSame(0, $this->reopened()->migrate());
    }

    /** @dataProvider engines */
    public function testOfManyProcessesThatMigrateOneDoesIt(string $engine): void
    {
        $this->emptyDatabase($engine);
        $steps = $this->together(5, ['do' => 'migrate']);
        sort($steps);
        self::assertSame([0, 0, 0, 0, Schema::VERSION], $steps);
    }

    /** @dataProvider engines */
    public function testAMigrationThatWasKilledHalfWayIsFinishedByTheNext(string $engine): void
    {
        $database = $this->database($engine);
        $database->execute("DELETE FROM setting WHERE name = 'schema_version'");
        $database->execute('DROP TABLE code');
        $database->execute('DROP TABLE gone_face');
        $database->execute('ALTER TABLE face_user DROP COLUMN sessions_from');
        self::assertSame(Schema::VERSION, $database->migrate());
        self::assertSame([], $database->rows('SELECT * FROM gone_face'));
        self::assertSame([], $database->rows('SELECT * FROM code'));
        self::assertSame([], $database->rows('SELECT sessions_from FROM face_user'));
    }

    /** @dataProvider engines */
    public function testADatabaseOfANewerVersionIsRefused(string $engine): void
    {
        $database = $this->database($engine);
        $database->execute("UPDATE setting SET value = '99' WHERE name = 'schema_version'");
        $this->expectException(DatabaseError::class);
        $database->migrate();
    }

    /** @dataProvider engines */
    public function testADatabaseOfTheOriginalKeepsItsRowsWhichAreDisabled(string $engine): void
    {
        $database = $this->original($engine);
        $database->migrate();
        $people = new People($database, $this->clock);
        self::assertSame(
            [
                [1, 'old/1.jpg', 'Ann', 'Ann@Example.org'],
                [2, 'old/2.jpg', 'Ann again', 'ann@example.org'],
                [3, 'old/3.jpg', 'Nobody', ''],
                [4, 'old/4.jpg', 'Bob', 'bob@example.org'],
            ],
            array_map('array_values', $database->rows('SELECT id, img, user_name, email FROM face_user ORDER BY id'))
        );
        self::assertSame(1, $people->byEmail('ANN@example.org')?->id);
        self::assertSame(Status::Disabled, $people->byId(4)?->status);
        self::assertFalse($people->byId(4)->isActive());
    }

    /** @dataProvider engines */
    public function testAPersonOfTheOriginalRegistersAnewUnderTheSameEmailAndOnlyOnce(string $engine): void
    {
        $database = $this->original($engine);
        $database->migrate();
        $people = new People($database, $this->clock);
        $person = $people->addPending('Robert', 'BOB@example.org', 'hash', 'v1');
        self::assertSame([4, 'Robert', Status::Pending], [$person->id, $person->name, $person->status]);
        self::assertSame('', $database->row('SELECT img FROM face_user WHERE id = 4')['img']);
        $this->expectException(EmailTaken::class);
        $people->addPending('Mallory', 'bob@example.org', 'other', 'v1');
    }

    /** @dataProvider engines */
    public function testARowOfTheOriginalIsAsItWasWhenTheRegistrationThatTookItOverFails(string $engine): void
    {
        $database = $this->original($engine);
        $database->migrate();
        $before = $database->row('SELECT * FROM face_user WHERE id = 4');
        $people = new People($database, $this->clock);
        for ($try = 0; $try < 2; $try++) {
            $people->startFace($people->addPending('Robert', 'BOB@example.org', 'hash', 'v1')->id);
            $people->delete(4);
            self::assertSame($before, $database->row('SELECT * FROM face_user WHERE id = 4'));
        }
        $people->activate($people->addPending('Robert', 'bob@example.org', 'hash', 'v1')->id);
        $people->markDeleting(4);
        $people->delete(4);
        self::assertNull($people->byId(4), 'an account that was complete goes for good');
    }

    /** @dataProvider engines */
    public function testAFaceThatWasOffBeforeVersionTwoStaysOffForTheNextFaceToo(string $engine): void
    {
        $database = $this->database($engine);
        $people = new People($database, $this->clock);
        $ann = $people->addPending('Ann', 'ann@example.org', 'hash', 'v1');
        $people->startFace($ann->id);
        $people->faceEnrolled($ann->id, [1]);
        $people->activate($ann->id);
        $database->execute("UPDATE face SET state = 'off'");
        $database->execute("UPDATE setting SET value = '1' WHERE name = 'schema_version'");
        $database->execute('ALTER TABLE face_user DROP COLUMN face_barred');
        $database->execute('DROP TABLE former_user');
        $database->execute('DROP TABLE gone_face');
        self::assertSame(1, $database->migrate());
        $people->setFaceState($ann->id, FaceState::Removing);
        $people->removeFace($ann->id);
        $people->startFace($ann->id);
        $people->faceEnrolled($ann->id, [2]);
        self::assertSame(FaceState::Off, $people->byId($ann->id)->face->state);
    }

    /** @dataProvider engines */
    public function testAPersonOfTheOriginalCannotBeEnabledWithoutAPassword(string $engine): void
    {
        $database = $this->original($engine);
        $database->migrate();
        $this->expectException(WrongState::class);
        (new People($database, $this->clock))->setStatus(4, Status::Active);
    }

    /** @dataProvider engines */
    public function testALongNameAndEmailFitAlsoIntoTheOriginalsTable(string $engine): void
    {
        $database = $this->original($engine);
        $database->migrate();
        $email = str_repeat('a', 64) . '@' . rtrim(str_repeat(str_repeat('b', 60) . '.', 3), '.') . '.org';
        $person = (new People($database, $this->clock))->addPending(str_repeat('李', 100), $email, 'hash', null);
        self::assertSame([str_repeat('李', 100), $email], [$person->name, $person->email]);
    }

    /** @dataProvider engines */
    public function testATableOfSomebodyElseIsNotTouched(string $engine): void
    {
        $database = $this->emptyDatabase($engine);
        $database->execute('CREATE TABLE face_user (id INTEGER PRIMARY KEY, user_name VARCHAR(20), email VARCHAR(20))');
        $this->expectException(DatabaseError::class);
        $database->migrate();
    }

    /** @dataProvider engines */
    public function testAFaceWithoutItsUserCannotBeStored(string $engine): void
    {
        $database = $this->original($engine);
        $database->migrate();
        $this->expectException(PDOException::class);
        (new People($database, $this->clock))->startFace(99);
    }

    private function original(string $engine): Database
    {
        $database = $this->emptyDatabase($engine);
        $database->execute($engine === 'mariadb'
            ? 'CREATE TABLE face_user (id INT NOT NULL AUTO_INCREMENT PRIMARY KEY, img VARCHAR(255) NOT NULL,
               user_name VARCHAR(50) NOT NULL, email VARCHAR(50) NOT NULL) ENGINE=MyISAM DEFAULT CHARSET=utf8mb3'
            : 'CREATE TABLE face_user (id INTEGER PRIMARY KEY, img TEXT NOT NULL, user_name TEXT NOT NULL,
               email TEXT NOT NULL)');
        $rows = [['Ann', 'Ann@Example.org'], ['Ann again', 'ann@example.org'], ['Nobody', '']];
        $rows[] = ['Bob', 'bob@example.org'];
        foreach ($rows as $index => [$name, $email]) {
            $database->execute(
                'INSERT INTO face_user (img, user_name, email) VALUES (?, ?, ?)',
                ['old/' . ($index + 1) . '.jpg', $name, $email]
            );
        }
        return $database;
    }
}

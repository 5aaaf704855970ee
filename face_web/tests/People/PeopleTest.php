<?php

declare(strict_types=1);

namespace FaceWeb\Tests\People;

use FaceWeb\People\Capture;
use FaceWeb\People\EmailTaken;
use FaceWeb\People\FaceState;
use FaceWeb\People\People;
use FaceWeb\People\Person;
use FaceWeb\People\Role;
use FaceWeb\People\Status;
use FaceWeb\People\WrongState;
use FaceWeb\Tests\Database\FreshDatabases;
use PHPUnit\Framework\TestCase;

final class PeopleTest extends TestCase
{
    use FreshDatabases;

    private People $people;

    /** @dataProvider engines */
    public function testARegistrationGoesFromPendingToActive(string $engine): void
    {
        $this->start($engine);
        $person = $this->people->addPending(' Ann ', ' Ann@Example.ORG ', 'hash', 'v1');
        self::assertSame(['Ann', 'ann@example.org', Status::Pending], [$person->name, $person->email, $person->status]);
        self::assertSame([1_800_000_000, 'v1'], [$person->consentAt, $person->consentVersion]);
        self::assertFalse($person->isActive());
        $subject = $this->people->startFace($person->id);
        self::assertMatchesRegularExpression('/^[0-9a-f]{32}$/', $subject);
        self::assertSame(FaceState::Enrolling, $this->people->byId($person->id)->face->state);
        $this->people->faceEnrolled($person->id, [4, 5]);
        $this->people->activate($person->id);
        $found = $this->people->bySubject($subject);
        self::assertTrue($found->hasActiveFace());
        self::assertEquals(
            [new Capture(4, 1_800_000_000), new Capture(5, 1_800_000_000)],
            $this->people->captures($person->id)
        );
        self::assertEquals($found, $this->people->byEmail('ANN@EXAMPLE.ORG'));
    }

    /** @dataProvider engines */
    public function testAnEmailBelongsToOneAccount(string $engine): void
    {
        $this->start($engine);
        $this->add('ann@example.org');
        $bob = $this->add('bob@example.org');
        foreach (
            [
                fn () => $this->people->addPending('Eve', 'ANN@example.org', 'hash', null),
                fn () => $this->people->setEmail($bob->id, 'Ann@Example.org'),
            ] as $take
        ) {
            try {
                $take();
                self::fail('the email was given twice');
            } catch (EmailTaken) {
                self::assertSame('bob@example.org', $this->people->byId($bob->id)->email);
            }
        }
        $this->people->setEmail($bob->id, 'bob@example.org');
        $this->people->setEmail($bob->id, 'Robert@example.org');
        self::assertNull($this->people->byEmail('bob@example.org'));
        self::assertSame($bob->id, $this->people->byEmail('robert@example.org')->id);
    }

    /** @dataProvider engines */
    public function testOfManyRegistrationsOfOneEmailAtTheSameTimeOneSucceeds(string $engine): void
    {
        $this->start($engine);
        self::assertCount(1, array_filter($this->together(6, ['do' => 'register'])));
    }

    /** @dataProvider engines */
    public function testAPersonHasOneFaceAndASubjectIsNeverGivenAgain(string $engine): void
    {
        $this->start($engine);
        $ann = $this->add('ann@example.org');
        $subjects = [];
        for ($round = 0; $round < 3; $round++) {
            $subjects[] = $this->people->startFace($ann->id);
            $this->people->faceEnrolled($ann->id, [1]);
            try {
                $this->people->startFace($ann->id);
                self::fail('a second face');
            } catch (WrongState) {
                $this->people->setFaceState($ann->id, FaceState::Removing);
                $this->people->removeFace($ann->id);
            }
        }
        self::assertCount(3, array_unique($subjects));
        self::assertNull($this->people->bySubject($subjects[0]));
    }

    /** @dataProvider engines */
    public function testRemovingAFaceWithdrawsTheConsent(string $engine): void
    {
        $this->start($engine);
        $ann = $this->withFace('ann@example.org');
        $this->people->setFaceState($ann->id, FaceState::Removing);
        $this->people->removeFace($ann->id);
        $ann = $this->people->byId($ann->id);
        self::assertSame([null, null, null], [$ann->face, $ann->consentAt, $ann->consentVersion]);
        self::assertSame([], $this->people->captures($ann->id));
        self::assertTrue($ann->isActive());
        $this->people->recordConsent($ann->id, 'v2');
        self::assertSame('v2', $this->people->byId($ann->id)->consentVersion);
    }

    /** @dataProvider engines */
    public function testAddingTheSameCaptureTwiceKeepsOne(string $engine): void
    {
        $this->start($engine);
        $ann = $this->withFace('ann@example.org');
        $this->clock->advance(10);
        $this->people->addCaptures($ann->id, [1, 2]);
        $ids = array_map(fn (Capture $capture) => $capture->templateId, $this->people->captures($ann->id));
        self::assertSame([1, 2], $ids);
    }

    /** @dataProvider engines */
    public function testDeletionGoesThroughItsOwnStateAndLeavesNothing(string $engine): void
    {
        $this->start($engine);
        $ann = $this->withFace('ann@example.org');
        try {
            $this->people->delete($ann->id);
            self::fail('an active account was removed at once');
        } catch (WrongState) {
            $this->people->markDeleting($ann->id);
        }
        self::assertFalse($this->people->byId($ann->id)->hasActiveFace());
        $this->people->delete($ann->id);
        self::assertNull($this->people->byId($ann->id));
        self::assertNull($this->people->bySubject($ann->face->subject));
        self::assertNotSame($ann->id, $this->add('ann@example.org')->id, 'a number is not given again');
    }

    /** @dataProvider engines */
    public function testWhatACrashLeftHalfMadeIsListed(string $engine): void
    {
        $this->start($engine);
        $this->withFace('whole@example.org');
        $pending = $this->people->addPending('Pending', 'pending@example.org', 'hash', 'v1');
        $enrolling = $this->add('enrolling@example.org');
        $this->people->startFace($enrolling->id);
        $removing = $this->withFace('removing@example.org');
        $this->people->setFaceState($removing->id, FaceState::Removing);
        $deleting = $this->add('deleting@example.org');
        $this->people->markDeleting($deleting->id);
        self::assertSame(
            [$pending->id, $enrolling->id, $removing->id, $deleting->id],
            array_map(fn (Person $person) => $person->id, $this->people->halfMade())
        );
    }

    public function testStepsThatDoNotFollowAreRefused(): void
    {
        $this->start('sqlite');
        $ann = $this->withFace('ann@example.org');
        $pending = $this->people->addPending('Pending', 'pending@example.org', 'hash', 'v1');
        $this->people->markDeleting($this->add('gone@example.org')->id);
        $gone = $this->people->byEmail('gone@example.org');
        $steps = [
            fn () => $this->people->activate($ann->id),
            fn () => $this->people->activate($gone->id),
            fn () => $this->people->setStatus($gone->id, Status::Active),
            fn () => $this->people->setStatus($pending->id, Status::Active),
            fn () => $this->people->setStatus($ann->id, Status::Pending),
            fn () => $this->people->setFaceState($ann->id, FaceState::Enrolling),
            fn () => $this->people->setFaceState($pending->id, FaceState::Off),
            fn () => $this->people->faceEnrolled($ann->id, [9]),
            fn () => $this->people->addCaptures($pending->id, [9]),
            fn () => $this->people->rename(999, 'Nobody'),
        ];
        foreach ($steps as $number => $step) {
            try {
                $step();
                self::fail("step $number was taken");
            } catch (WrongState) {
                self::assertSame(Status::Active, $this->people->byId($ann->id)->status);
            }
        }
    }

    public function testAFaceThatIsBeingRemovedDoesNotComeBack(): void
    {
        $this->start('sqlite');
        $ann = $this->withFace('ann@example.org');
        $this->people->setFaceState($ann->id, FaceState::Removing);
        $this->expectException(WrongState::class);
        $this->people->setFaceState($ann->id, FaceState::Active);
    }

    public function testAnAdministratorDisablesAndEnablesAndSessionsOfBeforeEnd(): void
    {
        $this->start('sqlite');
        $ann = $this->withFace('ann@example.org');
        $this->clock->advance(100);
        $this->people->setStatus($ann->id, Status::Disabled);
        $disabled = $this->people->byId($ann->id);
        self::assertFalse($disabled->isActive() || $disabled->hasActiveFace());
        self::assertSame($this->clock->now(), $disabled->sessionsFrom);
        $this->people->setStatus($ann->id, Status::Active);
        self::assertTrue($this->people->byId($ann->id)->hasActiveFace());
        $this->clock->advance(100);
        $this->people->setPasswordHash($ann->id, 'new');
        self::assertSame($this->clock->now(), $this->people->byId($ann->id)->sessionsFrom);
    }

    /** @dataProvider engines */
    public function testSearchFindsPartsOfNamesAndEmailsInPagesAndTakesSignsAsTheyAre(string $engine): void
    {
        $this->start($engine);
        $three = ['Ännchen' => 'a@example.org', 'Bob' => 'b_x@example.org', '100%' => 'c@other.net'];
        foreach ($three as $name => $email) {
            $this->people->addPending($name, $email, 'hash', null);
        }
        $names = fn (string $text, int $limit = 10, ?int $after = null) => array_map(
            fn (Person $person) => $person->name,
            $this->people->search($text, $limit, $after)
        );
        self::assertSame(['Ännchen', 'Bob', '100%'], $names(''));
        self::assertSame(['Ännchen'], $names('äNN'));
        self::assertSame(['Ännchen', 'Bob'], $names('EXAMPLE'));
        self::assertSame(['100%'], $names('%'));
        self::assertSame(['Bob'], $names('_'));
        self::assertSame([], $names("' OR 1=1 --"));
        self::assertSame(['Ännchen', 'Bob'], $names('', 2));
        self::assertSame(['100%'], $names('', 2, 2));
        self::assertSame(3, $this->people->count());
    }

    public function testAdministratorsAreCountedWhenTheyAreActive(): void
    {
        $this->start('sqlite');
        $admin = $this->people->addPending('Root', 'root@example.org', 'hash', null, Role::Admin);
        self::assertSame([0, null], [$this->people->countAdmins(), $admin->consentAt]);
        $this->people->activate($admin->id);
        self::assertSame(1, $this->people->countAdmins());
        $this->people->setRole($admin->id, Role::Person);
        self::assertSame(0, $this->people->countAdmins());
    }

    /** @dataProvider engines */
    public function testAnAccentMakesAnotherNameNotAnotherAccountsEmail(string $engine): void
    {
        $this->start($engine);
        $this->add('jose@example.org');
        self::assertNull($this->people->byEmail('josé@example.org'));
        self::assertNull($this->people->byEmail("jose@example.org\0"));
        self::assertNull($this->people->byEmail(''));
    }

    private function start(string $engine): void
    {
        $this->people = new People($this->database($engine), $this->clock);
    }

    private function add(string $email): Person
    {
        $id = $this->people->addPending('Somebody', $email, 'hash', 'v1')->id;
        $this->people->activate($id);
        return $this->people->byId($id);
    }

    private function withFace(string $email): Person
    {
        $id = $this->add($email)->id;
        $this->people->startFace($id);
        $this->people->faceEnrolled($id, [1]);
        return $this->people->byId($id);
    }
}

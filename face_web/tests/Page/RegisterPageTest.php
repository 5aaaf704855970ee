<?php

declare(strict_types=1);

namespace FaceWeb\Tests\Page;

use FaceWeb\People\FaceState;
use FaceWeb\FaceServer\Unreachable;
use FaceWeb\People\Status;
use FaceWeb\Tests\Support\ScriptedFaceServer;
use FaceWeb\Tests\Support\SiteCase;

final class RegisterPageTest extends SiteCase
{
    private const RECEIVED = ['ok' => true, 'location' => '/registered'];

    public function testRowAndTemplatesAreThereTogetherAndTheFaceLogsIn(): void
    {
        self::assertSame(self::RECEIVED, $this->register('Ada@Example.org', 'ada'));
        $ada = $this->people()->byEmail('ada@example.org');
        self::assertSame(Status::Active, $ada?->status);
        self::assertSame(FaceState::Active, $ada->face?->state);
        self::assertMatchesRegularExpression('/\A[0-9a-f]{32}\z/', $ada->face->subject);
        self::assertSame([$ada->face->subject => 'ada'], $this->daemon->enrolled);
        self::assertCount(3, $this->people()->captures($ada->id));
        self::assertSame($this->clock->now(), $ada->consentAt);
        self::assertSame('', $this->database->row('SELECT img FROM face_user')['img'] ?? null);
        self::assertFalse($this->isIn(), 'it answers the same to those who have an account, so it cannot log in');
        self::assertTrue($this->face('ada')['ok']);
    }

    public function testAnEmailThatHasAnAccountIsAnsweredLikeANewOneAndNothingStays(): void
    {
        $this->person('ada@example.org', 'ada');
        $before = $this->daemon->enrolled;
        self::assertSame(self::RECEIVED, $this->register('ada@example.org', 'eve'));
        self::assertSame($before, $this->daemon->enrolled);
        self::assertSame(1, $this->people()->count());
        self::assertSame('refused', $this->face('eve')['code']);
        self::assertSame(['enrol', 'remove'], array_slice($this->daemon->asked, 0, 2));
    }

    public function testAFaceThatHasAnAccountIsAnsweredLikeANewOneAndNothingStays(): void
    {
        $this->person('ada@example.org', 'ada');
        self::assertSame(self::RECEIVED, $this->register('second@example.org', 'ada'));
        self::assertNull($this->people()->byEmail('second@example.org'));
        self::assertCount(1, $this->daemon->enrolled);
    }

    public function testBadPicturesAreToldTheSameForNewAndKnownEmails(): void
    {
        $this->person('ada@example.org', 'ada');
        $pictures = [ScriptedFaceServer::picture('eve'), ScriptedFaceServer::picture('!blurred')];
        foreach (['ada@example.org', 'new@example.org'] as $email) {
            $answer = $this->register($email, [...$pictures, ScriptedFaceServer::picture('!too_dark')]);
            self::assertSame('quality', $answer['code']);
            self::assertSame([null, 'blurred', 'too_dark'], $answer['frames']);
            $pictures = [ScriptedFaceServer::picture('eve'), ScriptedFaceServer::picture('!blurred')];
        }
        self::assertSame(1, $this->people()->count());
        self::assertCount(1, $this->daemon->enrolled);
    }

    public function testTheFormIsCheckedBeforeAnythingElseIsDone(): void
    {
        $answer = $this->register('nonsense', 'ada', ['name' => ' ', 'password' => 'short', 'consent' => '']);
        self::assertSame('form', $answer['code']);
        self::assertSame(['name', 'email', 'password', 'consent'], array_keys($answer['fields']));
        self::assertSame([], $this->daemon->asked);
    }

    /** @dataProvider crashes */
    public function testWhateverFailsInBetweenLeavesNothingThatLogsIn(string $when, string $command, bool $again): void
    {
        $this->daemon->{$when}[$command] = ScriptedFaceServer::away();
        if ($command === 'remove') {
            $this->daemon->failAfter['enrol'] = ScriptedFaceServer::away();
        }
        self::assertSame('unavailable', $this->register('ada@example.org', 'ada')['code']);
        self::assertSame('refused', $this->faceOnceBack('ada')['code']);
        if (!$again) {
            self::assertSame(Status::Pending, $this->people()->byEmail('ada@example.org')?->status);
            self::assertSame(0, $this->services->reconciliation()->run());
            $this->clock->advance(600);
            self::assertSame(1, $this->services->reconciliation()->run());
        }
        self::assertSame(0, $this->people()->count());
        self::assertSame([], $this->daemon->enrolled);
        self::assertSame(self::RECEIVED, $this->register('ada@example.org', 'ada'));
        self::assertTrue($this->face('ada')['ok']);
    }

    /** @return iterable<array{string, string, bool}> */
    public function crashes(): iterable
    {
        yield 'the daemon is away' => ['failBefore', 'enrol', true];
        yield 'the answer to enrol is lost' => ['failAfter', 'enrol', true];
        yield 'and then the daemon is away' => ['failBefore', 'remove', false];
        yield 'and then the answer to remove is lost' => ['failAfter', 'remove', false];
    }

    /** @dataProvider steps */
    public function testAProcessKilledAtAnyStepIsClearedOnBothSides(int $steps): void
    {
        $person = $this->people()->addPending('Ada', 'ada@example.org', 'hash', '2026-11');
        $subject = $steps > 0 ? $this->people()->startFace($person->id) : '';
        if ($steps > 1) {
            $this->daemon->enrolled[$subject] = 'ada';
        }
        if ($steps > 2) {
            $this->people()->faceEnrolled($person->id, [1]);
        }
        self::assertSame('refused', $this->face('ada')['code']);
        self::assertSame(0, $this->services->reconciliation()->run(), 'it may still be running');
        self::assertSame(1, $this->services->reconciliation()->run(abandonedOnly: false));
        self::assertSame([], $this->daemon->enrolled);
        self::assertSame(0, $this->people()->count());
    }

    /** @return iterable<array{int}> */
    public function steps(): iterable
    {
        return [[0], [1], [2], [3]];
    }

    /** @dataProvider ways */
    public function testARegistrationWhoseRowIsDeletedMeanwhileLeavesNoTemplate(bool $answers): void
    {
        $this->daemon->during['enrol'] = function (): void {
            $person = $this->people()->byEmail('ada@example.org') ?? self::fail('there is no row');
            $this->services->account()->delete($person, '198.51.100.9');
        };
        if (!$answers) {
            $this->daemon->failAfter['enrol'] = ScriptedFaceServer::away();
        }
        self::assertFalse($this->register('ada@example.org', 'ada')['ok']);
        self::assertSame([], $this->daemon->enrolled);
        self::assertNull($this->people()->byEmail('ada@example.org'));
    }

    public function testTemplatesThatComeWhenTheirRowHasGoneAreFoundAllTheSame(): void
    {
        $ada = $this->person('ada@example.org', 'ada');
        $this->services->account()->delete($ada, '198.51.100.9');
        $this->daemon->enrolled = [$ada->face->subject => 'ada', 'of another program' => 'bob'];
        self::assertSame(0, $this->services->reconciliation()->run(), 'a request may still be at it');
        $this->daemon->failBefore['remove'] = ScriptedFaceServer::away();
        $this->clock->advance(600);
        try {
            $this->services->reconciliation()->run();
            self::fail('the daemon was away');
        } catch (Unreachable) {
            unset($this->daemon->failBefore['remove']);
        }
        self::assertSame(1, $this->services->reconciliation()->run());
        self::assertSame(['of another program' => 'bob'], $this->daemon->enrolled);
        $this->daemon->asked = [];
        self::assertSame(0, $this->services->reconciliation()->run());
        self::assertSame([], $this->daemon->asked, 'once is enough');
    }

    /** @return list<array{bool}> */
    public function ways(): array
    {
        return [[true], [false]];
    }

    public function testAnAbandonedRegistrationGivesItsEmailFreeWithoutAnOperator(): void
    {
        $person = $this->people()->addPending('Ada', 'ada@example.org', 'hash', '2026-11');
        $this->daemon->enrolled[$this->people()->startFace($person->id)] = 'ada';
        $this->clock->advance(600);
        self::assertSame(self::RECEIVED, $this->register('ada@example.org', 'ada'));
        self::assertSame(Status::Active, $this->people()->byEmail('ada@example.org')?->status);
    }

    public function testAnInvitationIsNeededOnceAndOnlyASuccessUsesItUp(): void
    {
        $this->configure('registration = invite');
        self::assertSame(['invite'], array_keys($this->register('ada@example.org', 'ada')['fields']));
        $invite = $this->services->invites()->create(null, 3600);
        self::assertSame('quality', $this->register('ada@example.org', '!no_face', ['invite' => $invite])['code']);
        $this->person('eve@example.org', 'eve');
        self::assertSame(self::RECEIVED, $this->register('eve@example.org', 'ada', ['invite' => $invite]));
        self::assertSame(self::RECEIVED, $this->register('ada@example.org', 'eve', ['invite' => $invite]));
        self::assertSame(self::RECEIVED, $this->register('ada@example.org', 'ada', ['invite' => $invite]));
        self::assertNotNull($this->people()->byEmail('ada@example.org'));
        $again = $this->register('b@example.org', 'b', ['invite' => $invite]);
        self::assertSame(['invite'], array_keys($again['fields']));
    }

    public function testAClosedRegistrationHasNoForm(): void
    {
        $this->configure('registration = closed');
        self::assertSame(403, $this->get('/register')->status);
        $answer = $this->post('/register', ['nonce' => ''], ['frames' => ScriptedFaceServer::burst('ada')]);
        self::assertSame(404, $answer->status);
        self::assertStringNotContainsString('href="/register"', $this->get('/')->body);
    }

    public function testRegistrationsFromOneSourceAreLimited(): void
    {
        foreach (range(1, 10) as $number) {
            self::assertSame(self::RECEIVED, $this->register("p$number@example.org", "p$number"));
        }
        self::assertSame('wait', $this->register('p11@example.org', 'p11')['code']);
    }

    public function testOnePhotoFileIsTakenWhereTheOperatorAllowsItAndNeverAtLogin(): void
    {
        $photo = [ScriptedFaceServer::picture('ada')];
        $form = ['nonce' => $this->nonce('register')];
        self::assertSame(400, $this->post('/register', $form, ['frames' => $photo])->status);
        $this->configure('upload_accepted = true');
        self::assertSame(self::RECEIVED, $this->register('ada@example.org', $photo));
        $login = $this->post('/login/face', ['nonce' => $this->nonce('login')], ['frames' => $photo]);
        self::assertSame(400, $login->status);
    }

    /** @return array<string, mixed> */
    private function faceOnceBack(string $person): array
    {
        $this->daemon->failBefore = [];
        $this->daemon->failAfter = [];
        return $this->face($person);
    }
}

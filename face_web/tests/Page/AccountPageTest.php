<?php

declare(strict_types=1);

namespace FaceWeb\Tests\Page;

use FaceWeb\FaceServer\Refused;
use FaceWeb\People\FaceState;
use FaceWeb\People\Role;
use FaceWeb\People\Status;
use FaceWeb\Tests\Support\ScriptedFaceServer;
use FaceWeb\Tests\Support\SiteCase;

final class AccountPageTest extends SiteCase
{
    public function testAFaceAloneChangesNothing(): void
    {
        $ada = $this->person('ada@example.org', 'ada');
        $this->face('ada');
        foreach (['face/remove', 'password', 'email', 'delete'] as $action) {
            self::assertSame('/confirm?next=account', $this->post("/account/$action")->headers['Location']);
        }
        self::assertSame('confirm', $this->captures('ada')['code']);
        self::assertSame('/confirm?next=account', $this->get('/account/captures')->headers['Location']);
        self::assertStringContainsString('href="/confirm"', $this->get('/account')->body);
        self::assertEquals($ada, $this->people()->byId($ada->id));
    }

    public function testThePasswordOpensTheChangesForFiveMinutes(): void
    {
        $this->person('ada@example.org', 'ada');
        $this->face('ada');
        $wrong = $this->post('/confirm', ['password' => 'not the password']);
        self::assertSame(422, $wrong->status);
        $before = $this->cookie;
        $right = $this->post('/confirm', ['password' => self::PASSWORD, 'next' => 'https://evil.example/']);
        self::assertSame('/account', $right->headers['Location']);
        self::assertNotSame($before, $this->cookie);
        self::assertStringContainsString('action="/account/delete"', $this->get('/account')->body);
        self::assertStringContainsString('data-purpose="captures"', $this->get('/account/captures')->body);
        $this->clock->advance(300);
        self::assertStringNotContainsString('action="/account/delete"', $this->get('/account')->body);
    }

    public function testRemovingTheFaceWithdrawsTheConsentAndALaterOneHasANewSubject(): void
    {
        $ada = $this->person('ada@example.org', 'ada');
        $this->logInByPassword('ada@example.org');
        self::assertSame('/account', $this->post('/account/face/remove')->headers['Location']);
        $without = $this->people()->byId($ada->id);
        self::assertNull($without?->face);
        self::assertNull($without->consentAt);
        self::assertSame([], $this->daemon->enrolled);
        self::assertSame('form', $this->captures('ada')['code'], 'a new face needs a new consent');
        self::assertTrue($this->captures('ada', ['consent' => '1'])['ok']);
        $again = $this->people()->byId($ada->id);
        self::assertNotSame($ada->face?->subject, $again?->face?->subject);
        self::assertSame($this->clock->now(), $again?->consentAt);
        self::assertSame(['login', 'face_removed', 'face_added'], $this->events());
    }

    public function testWhatAFaceHasOpenedEndsWithTheFaceAndItsOwnerStays(): void
    {
        $this->person('ada@example.org', 'ada');
        $this->face('ada');
        $thief = $this->cookie;
        $this->newBrowser();
        $this->logInByPassword('ada@example.org');
        $this->post('/account/face/remove');
        self::assertTrue($this->isIn());
        $this->cookie = $thief;
        self::assertFalse($this->isIn());
    }

    public function testALoginStaysInSightWhateverIsDoneAfterIt(): void
    {
        $ada = $this->person('ada@example.org', 'ada');
        $this->face('ada');
        for ($time = 0; $time < 30; $time++) {
            $this->services->audit()->append('code_issued', $ada->id, '198.51.100.9');
        }
        self::assertStringContainsString('Logged in by face', $this->get('/account')->body);
    }

    public function testWhereCropsAreKeptNoPagePromisesOtherwise(): void
    {
        file_put_contents("$this->directory/config.ini", "[gallery]\nkeep_crops = true\n", FILE_APPEND);
        $ada = $this->person('ada@example.org');
        foreach (['/', '/register', '/login'] as $path) {
            self::assertStringNotContainsString('not kept', $this->get($path)->body);
            self::assertStringNotContainsString('No photograph is kept', $this->get($path)->body);
        }
        self::assertStringContainsString('A small picture of your face is kept', $this->get('/register')->body);
        $this->logInByPassword('ada@example.org');
        self::assertTrue($this->captures('ada', ['consent' => '1'])['ok']);
        self::assertStringEndsWith('+crops', (string) $this->people()->byId($ada->id)?->consentVersion);
    }

    public function testAFaceIsOutOfUseAtOnceEvenWhileTheDaemonIsAway(): void
    {
        $ada = $this->person('ada@example.org', 'ada');
        $this->logInByPassword('ada@example.org');
        $this->daemon->failBefore['remove'] = ScriptedFaceServer::away();
        $this->post('/account/face/remove');
        self::assertStringContainsString('as soon as the recognition', $this->get('/account')->body);
        self::assertSame(FaceState::Removing, $this->people()->byId($ada->id)?->face?->state);
        self::assertSame('refused', $this->face('ada')['code']);
        $this->daemon->failBefore = [];
        $this->clock->advance(600);
        self::assertSame(1, $this->services->reconciliation()->run());
        self::assertSame([], $this->daemon->enrolled);
        self::assertNull($this->people()->byId($ada->id)?->face);
    }

    public function testCapturesOfSomebodyElseAreNotAdded(): void
    {
        $ada = $this->person('ada@example.org', 'ada');
        $this->logInByPassword('ada@example.org');
        self::assertTrue($this->captures('ada')['ok']);
        self::assertCount(6, $this->people()->captures($ada->id));
        self::assertSame('refused', $this->captures('eve')['code']);
        self::assertCount(6, $this->people()->captures($ada->id));
    }

    /** @dataProvider faults */
    public function testANewFaceThatFailsHalfWayLeavesNone(string $when): void
    {
        $ada = $this->person('ada@example.org');
        $this->logInByPassword('ada@example.org');
        $this->daemon->{$when}['enrol'] = ScriptedFaceServer::away();
        self::assertSame('unavailable', $this->captures('ada', ['consent' => '1'])['code']);
        self::assertNull($this->people()->byId($ada->id)?->face);
        self::assertNull($this->people()->byId($ada->id)?->consentAt);
        self::assertSame([], $this->daemon->enrolled);
    }

    /** @return list<array{string}> */
    public function faults(): array
    {
        return [['failBefore'], ['failAfter']];
    }

    /** @dataProvider ends */
    public function testPicturesThatComeWhileTheFaceOrTheAccountGoesLeaveNoTemplate(bool $hasFace, string $end): void
    {
        $ada = $this->person('ada@example.org', $hasFace ? 'ada' : null);
        $this->logInByPassword('ada@example.org');
        $this->daemon->during['enrol'] = function () use ($ada, $end): void {
            $now = $this->people()->byId($ada->id) ?? self::fail('the person is not there');
            $end === 'delete'
                ? $this->services->account()->delete($now, '198.51.100.9')
                : $this->services->account()->removeFace($now, '198.51.100.9');
        };
        self::assertSame('unavailable', $this->captures('ada', ['consent' => '1'])['code']);
        self::assertSame([], $this->daemon->enrolled, 'no row tells of these templates any more');
        self::assertNull($this->people()->byId($ada->id)?->face);
    }

    /** @return list<array{bool, string}> */
    public function ends(): array
    {
        return [[false, 'delete'], [false, 'remove'], [true, 'delete'], [true, 'remove']];
    }

    public function testPicturesThatComeBetweenTheTwoStepsOfARemovalLeaveNoTemplate(): void
    {
        $ada = $this->person('ada@example.org', 'ada');
        $this->logInByPassword('ada@example.org');
        $this->daemon->during['enrol'] = function () use ($ada): void {
            $this->people()->setFaceState($ada->id, FaceState::Removing);
            $this->daemon->enrolled = [];
        };
        self::assertSame('unavailable', $this->captures('ada')['code']);
        self::assertSame([], $this->daemon->enrolled);
    }

    public function testASubjectThatIsFullIsToldSo(): void
    {
        $this->person('ada@example.org', 'ada');
        $this->logInByPassword('ada@example.org');
        $full = Refused::because('too_many_images', '', ['templates' => 20, 'max_templates_per_subject' => 20]);
        $this->daemon->failBefore['enrol'] = $full;
        $answer = $this->captures('ada');
        self::assertSame('form', $answer['code']);
        self::assertStringStartsWith('There is no room for more captures.', $answer['message']);
        $this->daemon->failBefore['enrol'] = Refused::because('storage_full');
        self::assertSame('unavailable', $this->captures('ada')['code'], 'removing a face frees no disk');
    }

    public function testHowOftenEmailsMayBeTriedIsLimited(): void
    {
        $this->person('bob@example.org');
        $this->person('ada@example.org');
        $this->logInByPassword('ada@example.org');
        foreach (range(1, 10) as $ignored) {
            $this->post('/account/email', ['email' => 'bob@example.org']);
        }
        self::assertStringContainsString('Too many attempts', $this->post('/account/email', [
            'email' => 'bob@example.org',
        ])->body);
    }

    public function testWhatCannotBeLoggedIsNotDone(): void
    {
        $ada = $this->person('ada@example.org', 'ada');
        $this->logInByPassword('ada@example.org');
        $before = $this->people()->byId($ada->id);
        $key = (string) file_get_contents("$this->directory/audit.key");
        file_put_contents("$this->directory/audit.key", 'damaged');
        $new = ['password' => 'a better sentence', 'repeat' => 'a better sentence'];
        self::assertSame(500, $this->post('/account/password', $new)->status);
        self::assertSame(500, $this->post('/account/email', ['email' => 'new@example.org'])->status);
        self::assertSame(500, $this->post('/account/face/remove')->status);
        self::assertSame(500, $this->post('/account/delete', ['sure' => '1'])->status);
        self::assertEquals($before, $this->people()->byId($ada->id));
        $this->post('/logout');
        self::assertFalse($this->isIn(), 'but signing out always works');
        file_put_contents("$this->directory/audit.key", $key);
    }

    public function testANewPasswordEndsAllOtherSessions(): void
    {
        $this->person('ada@example.org', 'ada');
        $this->face('ada');
        $other = $this->cookie;
        $this->newBrowser();
        $this->logInByPassword('ada@example.org');
        $form = ['password' => 'a better sentence', 'repeat' => 'another sentence'];
        self::assertSame(422, $this->post('/account/password', $form)->status);
        $this->post('/account/password', ['repeat' => 'a better sentence'] + $form);
        self::assertTrue($this->isIn());
        $this->cookie = $other;
        self::assertFalse($this->isIn());
        self::assertSame(422, $this->logInByPassword('ada@example.org')->status);
    }

    public function testTheEmailOfAnotherAccountIsNotToldApartFromAnUnusableOne(): void
    {
        $this->person('bob@example.org');
        $ada = $this->person('ada@example.org');
        $this->logInByPassword('ada@example.org');
        $taken = $this->post('/account/email', ['email' => 'BOB@example.org']);
        self::assertStringContainsString('This email cannot be used here.', $taken->body);
        $this->post('/account/email', ['email' => 'Countess@Example.org']);
        self::assertSame('countess@example.org', $this->people()->byId($ada->id)?->email);
    }

    public function testDeletingNeedsTheBoxAndTakesTheFaceAlong(): void
    {
        $ada = $this->person('ada@example.org', 'ada');
        $this->logInByPassword('ada@example.org');
        self::assertSame(422, $this->post('/account/delete')->status);
        self::assertSame('/', $this->post('/account/delete', ['sure' => '1'])->headers['Location']);
        self::assertNull($this->people()->byId($ada->id));
        self::assertSame([], $this->daemon->enrolled);
        self::assertFalse($this->isIn());
    }

    public function testADeletionThatTheDaemonMissesIsFinishedLater(): void
    {
        $ada = $this->person('ada@example.org', 'ada');
        $this->logInByPassword('ada@example.org');
        $this->daemon->failBefore['remove'] = ScriptedFaceServer::away();
        $this->post('/account/delete', ['sure' => '1']);
        self::assertSame(Status::Deleting, $this->people()->byId($ada->id)?->status);
        self::assertSame(422, $this->logInByPassword('ada@example.org')->status);
        $this->daemon->failBefore = [];
        self::assertSame(1, $this->services->reconciliation()->run(abandonedOnly: false));
        self::assertNull($this->people()->byId($ada->id));
        self::assertSame([], $this->daemon->enrolled);
    }

    public function testTheLastAdministratorStays(): void
    {
        $this->person('boss@example.org', role: Role::Admin);
        $this->logInByPassword('boss@example.org');
        $answer = $this->post('/account/delete', ['sure' => '1']);
        self::assertStringContainsString('You are the last administrator.', $answer->body);
        self::assertTrue($this->isIn());
    }

    public function testWhatPeopleTypeIsShownAndNeverRun(): void
    {
        $ada = $this->person('ada@example.org', 'ada');
        $this->people()->rename($ada->id, '<script>alert(1)</script>"\'&');
        $this->logInByPassword('ada@example.org');
        $body = $this->get('/account')->body;
        self::assertStringNotContainsString('<script>alert', $body);
        self::assertStringContainsString('&lt;script&gt;alert(1)&lt;/script&gt;&quot;&apos;&amp;', $body);
    }

    public function testASessionEndsAfterItsIdleTimeAndAtTheLatestAfterItsAbsoluteTime(): void
    {
        $this->person('ada@example.org', 'ada');
        $this->face('ada');
        $this->clock->advance(899);
        self::assertTrue($this->isIn());
        $this->clock->advance(900);
        self::assertFalse($this->isIn());
        $this->face('ada');
        foreach (range(1, 47) as $ignored) {
            $this->clock->advance(600);
            self::assertTrue($this->isIn());
        }
        $this->clock->advance(600);
        self::assertFalse($this->isIn());
    }

    /**
     * @param array<string, string> $form
     * @return array<string, mixed>
     */
    private function captures(string $person, array $form = []): array
    {
        $form += ['nonce' => $this->nonce('captures')];
        $pictures = ['frames' => ScriptedFaceServer::burst($person)];
        return $this->json($this->post('/account/captures', $form, $pictures));
    }
}

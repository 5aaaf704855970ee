<?php

declare(strict_types=1);

namespace FaceWeb\Tests\Page;

use FaceWeb\People\FaceState;
use FaceWeb\People\Person;
use FaceWeb\People\Role;
use FaceWeb\People\Status;
use FaceWeb\Tests\Support\ScriptedFaceServer;
use FaceWeb\Tests\Support\SiteCase;

final class AdminPageTest extends SiteCase
{
    private const PAGES = ['/admin', '/admin/audit', '/admin/status'];

    public function testForOthersThereAreNoSuchPages(): void
    {
        $this->person('ada@example.org', 'ada');
        $eve = $this->person('eve@example.org');
        $this->logInByPassword('ada@example.org');
        foreach (self::PAGES as $page) {
            self::assertSame(404, $this->get($page)->status);
        }
        self::assertSame(404, $this->post("/admin/people/$eve->id/delete")->status);
        self::assertNotNull($this->people()->byId($eve->id));
        $this->newBrowser();
        self::assertSame('/login', $this->get('/admin')->headers['Location']);
    }

    public function testAnAdministratorWhoCameInByFaceGivesThePasswordFirst(): void
    {
        $this->person('boss@example.org', 'boss', Role::Admin);
        $this->face('boss');
        self::assertSame('/confirm?next=admin', $this->get('/admin')->headers['Location']);
        $confirmed = $this->post('/confirm', ['password' => self::PASSWORD, 'next' => 'admin']);
        self::assertSame('/admin', $confirmed->headers['Location']);
        foreach (self::PAGES as $page) {
            self::assertSame(200, $this->get($page)->status);
        }
    }

    public function testPeopleAreFoundByNameOrEmailAndPatternsAreOnlyText(): void
    {
        $this->boss();
        $this->person('ada@example.org');
        $body = $this->get('/admin?q=ADA%40')->body;
        self::assertStringContainsString('ada@example.org', $body);
        self::assertStringNotContainsString('boss@example.org</td>', $body);
        self::assertStringContainsString('Nobody was found.', $this->get("/admin?q=%25'--")->body);
        self::assertStringContainsString('value="&lt;b&gt;"', $this->get('/admin?q=<b>')->body);
    }

    public function testDisablingEndsSessionsAndEnablingGivesThemBack(): void
    {
        $ada = $this->person('ada@example.org', 'ada');
        $this->face('ada');
        $hers = $this->cookie;
        $this->newBrowser();
        $this->boss();
        $this->clock->advance(1);
        $this->act($ada, 'disable');
        self::assertSame(Status::Disabled, $this->people()->byId($ada->id)?->status);
        $this->cookie = $hers;
        self::assertFalse($this->isIn());
        self::assertSame('refused', $this->face('ada')['code']);
        $this->newBrowser();
        $this->logInByPassword('boss@example.org');
        $this->act($ada, 'enable');
        $this->newBrowser();
        self::assertTrue($this->face('ada')['ok']);
    }

    public function testAFaceIsSwitchedOffAndOnAndRemoved(): void
    {
        $ada = $this->person('ada@example.org', 'ada');
        $this->boss();
        $this->act($ada, 'face-off');
        self::assertSame(FaceState::Off, $this->people()->byId($ada->id)?->face?->state);
        $this->act($ada, 'face-on');
        self::assertSame(FaceState::Active, $this->people()->byId($ada->id)?->face?->state);
        $this->act($ada, 'reset-face');
        self::assertNull($this->people()->byId($ada->id)?->face);
        self::assertSame([], $this->daemon->enrolled);
    }

    public function testAFaceThatIsOffStaysOffWhenItsOwnerTakesANewOne(): void
    {
        $ada = $this->person('ada@example.org', 'ada');
        $this->boss();
        $this->act($ada, 'face-off');
        $this->newBrowser();
        $this->logInByPassword('ada@example.org');
        $this->post('/account/face/remove');
        $form = ['nonce' => $this->nonce('captures'), 'consent' => '1'];
        $answer = $this->post('/account/captures', $form, ['frames' => ScriptedFaceServer::burst('ada')]);
        self::assertTrue($this->json($answer)['ok']);
        self::assertSame(FaceState::Off, $this->people()->byId($ada->id)?->face?->state);
        $this->newBrowser();
        self::assertSame('refused', $this->face('ada')['code']);
        $this->logInByPassword('boss@example.org');
        $this->act($ada, 'reset-face');
        $this->people()->startFace($ada->id);
        $this->people()->faceEnrolled($ada->id, [9]);
        self::assertTrue($this->people()->byId($ada->id)?->hasActiveFace(), 'a reset is a fresh start');
    }

    public function testDeletingTakesTheFaceAlong(): void
    {
        $ada = $this->person('ada@example.org', 'ada');
        $this->boss();
        $this->act($ada, 'delete');
        self::assertNull($this->people()->byId($ada->id));
        self::assertSame([], $this->daemon->enrolled);
    }

    public function testNobodyActsOnTheirOwnAccountOrAnUnknownOneOrInAnotherWay(): void
    {
        $boss = $this->boss();
        $ada = $this->person('ada@example.org');
        $this->act($boss, 'delete');
        self::assertNotNull($this->people()->byId($boss->id));
        self::assertSame(404, $this->post('/admin/people/999/delete')->status);
        self::assertSame(404, $this->post("/admin/people/$ada->id/promote")->status);
    }

    public function testAnInvitationIsShownOnce(): void
    {
        $this->configure('registration = invite');
        $this->boss();
        $this->post('/admin/invites');
        self::assertSame(1, preg_match('~<code>([0-9a-f]{32})</code>~', $this->get('/admin')->body, $found));
        self::assertTrue($this->services->invites()->isUsable($found[1]));
        self::assertStringNotContainsString($found[1], $this->get('/admin')->body);
    }

    public function testTheStatusTellsABrokenAuditLog(): void
    {
        $this->boss();
        self::assertStringContainsString('It answers', $this->get('/admin/status')->body);
        $this->database->execute('UPDATE audit SET source = ?', ['192.0.2.99']);
        self::assertStringContainsString('changed or damaged', $this->get('/admin/status')->body);
    }

    private function boss(): Person
    {
        $boss = $this->person('boss@example.org', role: Role::Admin);
        $this->logInByPassword('boss@example.org');
        return $boss;
    }

    private function act(Person $person, string $action): void
    {
        self::assertSame('/admin', $this->post("/admin/people/$person->id/$action")->headers['Location']);
    }
}

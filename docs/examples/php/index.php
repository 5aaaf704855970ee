<?php

/** A site that lets people in by face login, in plain PHP. Run it: see docs/integrate.md. */

declare(strict_types=1);

[$login, $returnTo] = [getenv('FACE_LOGIN'), getenv('RETURN_TO')];         // the return address exactly as registered
[$client, $secret] = [getenv('CLIENT_ID'), getenv('CLIENT_SECRET')];
session_start(['name' => 'php_example', 'use_strict_mode' => true, 'cookie_httponly' => true,
    'cookie_samesite' => 'Lax', 'cookie_secure' => str_starts_with($returnTo, 'https:')]);
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if ($path === '/login') {
    $_SESSION['state'] = bin2hex(random_bytes(16));
    $question = ['client' => $client, 'return_to' => $returnTo, 'state' => $_SESSION['state']];
    header("Location: $login/login?" . http_build_query($question));
} elseif ($path === parse_url($returnTo, PHP_URL_PATH)) {
    [$state, $code] = [(string) filter_input(INPUT_GET, 'state'), (string) filter_input(INPUT_GET, 'code')];
    $asked = isset($_SESSION['state']) && hash_equals($_SESSION['state'], $state);
    unset($_SESSION['state']);                                              // good for one answer
    $form = http_build_query(['code' => $code, 'return_to' => $returnTo, 'client_id' => $client,
        'client_secret' => $secret, 'grant_type' => 'authorization_code']);
    $post = stream_context_create(['http' => ['method' => 'POST', 'content' => $form, 'timeout' => 10,
        'header' => 'Content-Type: application/x-www-form-urlencoded', 'follow_location' => 0]]);
    $answer = $asked ? @file_get_contents("$login/exchange", false, $post) : false;  // false for 400, 401, ...
    $who = json_decode((string) $answer, true);
    if (!isset($who['subject'])) {
        http_response_code(403);
        exit('Not signed in. <a href="/login">Try again</a>');
    }
    session_regenerate_id(true);
    $_SESSION['who'] = $who;                                                // look your user up by $who['subject']
    header('Location: /');
} elseif (isset($_SESSION['who'])) {
    ['email' => $email, 'subject' => $subject, 'amr' => $amr] = $_SESSION['who'];
    echo 'Signed in as ' . htmlspecialchars("$email ($subject) by " . implode(' + ', $amr));
} else {
    echo '<a href="/login">Sign in</a>';
}

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    indelible_fuzz::codec("name", data);
    indelible_fuzz::codec("pattern", data);
    indelible_fuzz::codec("grant-facts", data);
});

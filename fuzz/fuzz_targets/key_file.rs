#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    indelible_fuzz::codec("key-file", data);
    indelible_fuzz::codec("key-file-content", data);
});

//! Tables in the forms in which they are given away, and what becomes of broken ones.

use super::*;
use std::io::Write;

fn tables(folder: &std::path::Path) -> Tables {
    let config = TableConfig {
        countries: Some(folder.join("countries.csv")),
        networks: Some(folder.join("networks.tsv.gz")),
    };
    Tables::new(&config, Arc::default())
}

fn area(asn: u32, country: &[u8; 2]) -> Area {
    Area {
        asn,
        country: *country,
    }
}

const COUNTRIES: &str = "start_ip,end_ip,country\n0.0.0.0,0.255.255.255,ZZ\n1.0.0.0,1.0.0.255,AU\n\
    1.0.1.0,1.0.3.255,CN\n2001:200::,2001:200:ffff:ffff:ffff:ffff:ffff:ffff,JP\n";
const NETWORKS: &str = "1.0.0.0\t1.0.0.255\t13335\tUS\tCLOUDFLARENET\n1.0.1.0\t1.0.3.255\t0\tNone\tNot routed\n\
    2001:200::\t2001:200:5ff:ffff:ffff:ffff:ffff:ffff\t2500\tJP\tWIDE-BB WIDE Project\n";

#[test]
fn a_table_is_read_as_it_was_downloaded_and_again_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let tables = tables(folder.path());
    let of = |ip: &str| tables.area(ip.parse().unwrap());
    assert_eq!(of("1.0.0.1"), Area::default());
    std::fs::write(folder.path().join("countries.csv"), COUNTRIES).unwrap();
    let networks = std::fs::File::create(folder.path().join("networks.tsv.gz")).unwrap();
    let mut packed = flate2::write::GzEncoder::new(networks, flate2::Compression::fast());
    packed.write_all(NETWORKS.as_bytes()).unwrap();
    packed.finish().unwrap();
    tables.look(true);
    assert_eq!(of("1.0.0.1"), area(13335, b"AU"));
    assert_eq!(of("::ffff:1.0.0.255"), area(13335, b"AU"));
    assert_eq!(of("1.0.2.0"), area(0, b"CN"));
    assert_eq!(of("2001:200:1::7"), area(2500, b"JP"));
    assert_eq!(of("2001:200:600::"), area(0, b"JP"));
    assert_eq!(of("0.1.2.3"), Area::default());
    assert_eq!(of("9.9.9.9"), Area::default());
    let metrics = &tables.metrics;
    // The heading makes no sense as a range.
    assert_eq!(metrics.tracker_table_lines_broken.get(), 1);
    assert_eq!(metrics.tracker_country_ranges_now.get(), 3);
    assert_eq!(metrics.tracker_network_ranges_now.get(), 2);

    // Changed, it is read once it has rested for a look.
    std::fs::write(
        folder.path().join("countries.csv"),
        "1.0.0.0,1.0.3.255,NZ\n",
    )
    .unwrap();
    tables.look(false);
    assert_eq!(of("1.0.0.1").country, *b"AU");
    tables.look(false);
    assert_eq!(of("1.0.0.1"), area(13335, b"NZ"));
    assert_eq!(metrics.tracker_tables_read.get(), 3);
}

#[test]
fn what_makes_no_sense_leaves_the_table_before_it() {
    let folder = tempfile::tempdir().unwrap();
    let tables = tables(folder.path());
    let path = folder.path().join("countries.csv");
    std::fs::write(&path, COUNTRIES).unwrap();
    tables.look(true);
    let metrics = &tables.metrics;
    // There is no table of networks.
    assert_eq!(metrics.tracker_tables_unusable.get(), 1);
    for (n, nonsense) in [
        "<html>404</html>\n<p>\n",
        "",
        "1.0.0.0,1.0.0.255,AU\na\nb\nc\n",
    ]
    .into_iter()
    .enumerate()
    {
        std::fs::write(&path, nonsense).unwrap();
        tables.look(true);
        assert_eq!(metrics.tracker_tables_unusable.get(), 2 + n as u64);
        assert_eq!(tables.area("1.0.1.9".parse().unwrap()).country, *b"CN");
        // Told once, not at each look.
        tables.look(true);
        assert_eq!(metrics.tracker_tables_unusable.get(), 2 + n as u64);
    }
    std::fs::remove_file(&path).unwrap();
    tables.look(true);
    assert_eq!(tables.area("1.0.1.9".parse().unwrap()).country, *b"CN");
}

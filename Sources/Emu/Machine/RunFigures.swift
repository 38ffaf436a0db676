/// What `--stats` prints of a run.
struct RunFigures {
  var insns: UInt64
  var exceptions: UInt64
  var seconds: Double
  /// Seconds before the first instruction, where they were measured.
  var startup: Double?
  var tlbMisses: UInt64
  var blocks: Int
  /// Lines of a kernel model.
  var more: [(String, String)] = []

  var text: String {
    let running = seconds - (startup ?? 0)
    var rows: [(String, String)] = [
      ("instructions retired", grouped(insns)),
      ("exceptions taken", grouped(exceptions)),
      ("time", "\(fixed(seconds * 1000, 1)) ms"),
    ]
    if let startup {
      rows.append(("  of it before the first instruction", "\(fixed(startup * 1000, 1)) ms"))
    }
    rows += [
      ("speed", "\(fixed(Double(insns) / max(running, 1e-9) / 1e6, 1)) MIPS"),
      ("TLB misses", grouped(tlbMisses)),
      ("blocks translated", grouped(UInt64(max(blocks, 0)))),
    ]
    rows += more
    let width = rows.map(\.0.count).max() ?? 0
    return rows.map { row in
      row.0 + String(repeating: " ", count: width - row.0.count + 2) + row.1
    }.joined(separator: "\n")
  }
}

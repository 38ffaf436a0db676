import ArgumentParser
import Foundation
import Fuzz

/// `emu-conformance fuzz`.
struct FuzzCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "fuzz",
    abstract: "Throws random files, words, programs and boards at the emulator.",
    discussion: """
      Nothing may crash, hang, fill the memory, or depend on where a run is stopped. A failure is one \
      line that repeats it. Parts: \(FuzzPart.allCases.map(\.rawValue).joined(separator: ", ")).

      Examples:
        emu-conformance fuzz --seconds 60
        emu-conformance fuzz --part bare --seed 7 --seconds 300
        emu-conformance fuzz --part budget --seed 1 --case 4711
      """)

  @Option(help: "How long, for each part.")
  var seconds: Double = 10

  @Option(help: "What the cases follow from.")
  var seed: UInt64 = 1

  @Option(help: "Only this part.")
  var part: String?

  @Option(name: .customLong("case"), help: "Only this case.")
  var number: UInt64?

  @Option(help: "The first case.")
  var from: UInt64 = 0

  @Option(help: "Seconds after which a case hangs.")
  var patience: UInt32 = 20

  @Option(help: "Where ELF files are to be found that the loader's are made from.")
  var images = "images"

  @Flag(name: .customLong("keep-going"), help: "Go on after a difference.")
  var keepGoing = false

  mutating func validate() throws {
    if let part, FuzzPart(rawValue: part) == nil { throw ValidationError("No part '\(part)'") }
  }

  mutating func run() throws {
    Watchdog.install()
    // What a guest makes the host allocate has a bound; a refused allocation is a crash.
    var limit = rlimit(rlim_cur: 24 << 30, rlim_max: 24 << 30)
    setrlimit(__rlimit_resource_t(RLIMIT_AS.rawValue), &limit)
    let parts = part.flatMap(FuzzPart.init).map { [$0] } ?? FuzzPart.allCases
    let files = files()
    var failures = 0
    for part in parts { failures += run(part, Fuzzer(part, seed: seed, images: files)) }
    if failures > 0 { throw ExitCode(1) }
  }

  private func run(_ part: FuzzPart, _ fuzzer: Fuzzer) -> Int {
    let start = Date()
    var cases: UInt64 = 0
    var units: UInt64 = 0
    var failures = 0
    var next = number ?? from
    repeat {
      let line = "emu-conformance fuzz --part \(part.rawValue) --seed \(seed) --case \(next)"
      Watchdog.begin(line, patience)
      do {
        units &+= try fuzzer.run(next)
      } catch {
        say("\(line): \(error)")
        failures += 1
        if !keepGoing { break }
      }
      cases += 1
      next += 1
    } while number == nil && -start.timeIntervalSinceNow < seconds
    Watchdog.end()
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    let took = String(format: "%.1f", -start.timeIntervalSinceNow)
    say(
      "\(part.rawValue): \(cases) cases, \(units) \(part.unit) in \(took) s, "
        + "\(failures) failures, peak \(usage.ru_maxrss / 1024) MiB")
    return failures
  }

  /// Unbuffered: a crash must not take what was said with it.
  private func say(_ text: String) {
    FileHandle.standardOutput.write(Data((text + "\n").utf8))
  }

  private func files() -> [[UInt8]] {
    guard let names = FileManager.default.enumerator(atPath: images) else { return [] }
    return names.compactMap { $0 as? String }.filter { $0.hasSuffix(".elf") }.sorted().compactMap {
      FileManager.default.contents(atPath: images + "/" + $0).map(Array.init)
    }
  }
}

/// Says which case was running when the process dies or a case takes too long.
private enum Watchdog {
  nonisolated(unsafe) private static let line = UnsafeMutablePointer<CChar>.allocate(capacity: 256)

  static func install() {
    line.pointee = 0
    for signal in [SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGALRM] {
      var action = sigaction()
      action.__sigaction_handler.sa_handler = { Watchdog.report($0) }
      action.sa_flags = Int32(bitPattern: UInt32(SA_RESETHAND))
      sigaction(signal, &action, nil)
    }
  }

  static func begin(_ text: String, _ seconds: UInt32) {
    text.withCString { _ = strncpy(line, $0, 255) }
    alarm(seconds)
  }

  static func end() { alarm(0) }

  private static func report(_ signal: Int32) {
    write(1, line, strlen(line))
    let text: StaticString = signal == SIGALRM ? ": hangs\n" : ": crashes\n"
    write(1, text.utf8Start, text.utf8CodeUnitCount)
    if signal == SIGALRM { abort() }
    raise(signal)
  }
}

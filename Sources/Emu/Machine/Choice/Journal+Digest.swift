import TraceFile

extension Journal {
  /// A digest of all answers with their places, as a trace file has them.
  public var digest: UInt64 {
    var encoder = ChoiceEncoder()
    for entry in entries { encoder.add(entry) { XXH64.hash($0) } }
    return XXH64.hash(encoder.bytes.data)
  }
}

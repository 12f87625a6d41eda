"""What texts are made of: the alphabets and segments of SMS, and how personal text is masked.

Owns rules that need the text alone. Must not know a wire format, a campaign or a contact.
"""
